"""Takes out of installed packages what the product never imports: python slim.py SITE_PACKAGES SOURCES

Alipay's SDK is 17,000 modules of which a few dozen are used: those that SOURCES name (as in "AlipayTradeQuery") and
what they import. Languages we do not speak, services of Amazon's that are no file store, and self-tests go as well.
Prints how many megabytes went. Nothing else is touched; tests/test_image_size.py runs the product on what is left.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

_API = Path("alipay/aop/api")
_MODELS = ("domain", "request", "response")
_IMPORT = re.compile(r"^from alipay\.aop\.api\.((?:domain|request|response)\.\w+) import", re.MULTILINE)
_SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}
_LANGUAGES = re.compile(r"(root|en|zh)([_.-]|$)")


def slim(packages: Path, sources: Path) -> int:
    """Bytes that went."""
    went = 0
    for each in [
        *_models(packages, sources),
        *_languages(packages),
        *_services(packages),
        packages / "Crypto/SelfTest",
    ]:
        went += _size(each)
        shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
    return went


def _models(packages: Path, sources: Path) -> Iterator[Path]:
    """Modules of Alipay's SDK that nothing we use leads to."""
    named = {name for file in sources.rglob("*.py") for name in re.findall(r'"(Alipay\w+)"', file.read_text())}
    waiting = [part for name in named for part in (f"domain.{name}Model", f"request.{name}Request")]
    kept: set[str] = set()
    while waiting:
        module = waiting.pop()
        file = packages / _API / f"{module.replace('.', '/')}.py"
        if module not in kept and file.exists():
            kept.add(module)
            waiting += _IMPORT.findall(file.read_text())
    for kind in _MODELS:
        for file in (packages / _API / kind).glob("*.py"):
            if file.stem != "__init__" and f"{kind}.{file.stem}" not in kept:
                yield file


def _languages(packages: Path) -> Iterator[Path]:
    for folder in packages.rglob("locale"):
        yield from (each for each in folder.iterdir() if each.is_dir() and not _LANGUAGES.match(each.name))
    yield from (each for each in packages.glob("babel/locale-data/*.dat") if not _LANGUAGES.match(each.name))


def _services(packages: Path) -> Iterator[Path]:
    for folder in ("botocore/data", "boto3/data"):
        yield from (each for each in packages.glob(f"{folder}/*") if each.is_dir() and each.name not in _SERVICES)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    print(f"{slim(Path(sys.argv[1]), Path(sys.argv[2])) / 1e6:.0f} MB that nobody imports are gone.")
