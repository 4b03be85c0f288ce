"""Programs of others against our /v1, unmodified, over real HTTP: `make clients`.

Each is set up as docs/clients.md tells its users: the tests read the page. A stand-in provider (upstream.py) works with
the tools that a client offers; what the user sees, what arrived there and what was charged must agree.
"""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# Where `python -m tests.clients` installs them.
FOLDER = ROOT / ".clients"
PYTHON = FOLDER / "python" / "bin" / "python"
NPM = FOLDER / "npm"


def stamp(lock: str) -> Path:
    """Is there, and holds the digest of the locks, when all that they name is installed."""
    return FOLDER / f"{lock}.installed"
