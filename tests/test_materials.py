"""What the image is made of: every package of the lock is listed with its licence, and what lies compiled in them."""

import re

from deploy.image.materials import complete
from tests.image import ROOT


def test_the_list_of_licences_names_each_package_of_the_lock() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    listed = dict(re.findall(r"^\| ([\w.-]+) \| (.+) \|$", (ROOT / "docs/licences.md").read_text(), re.MULTILINE))
    listed.pop("package")
    # `make sbom` writes it anew.
    assert listed.keys() == locked
    assert [name for name, licence in listed.items() if licence == "not stated"] == []


def test_a_bill_of_materials_tells_what_is_compiled_in_the_packages() -> None:
    names = ("psycopg-binary", "av", "cryptography", "async-timeout")
    packages = [{"name": name, "version": "1", "type": "library", "purl": f"pkg:pypi/{name}@1"} for name in names]
    bill = {"components": packages}
    assert complete(bill) == (stated := complete(bill))
    found = {each["name"]: each for each in bill["components"]}
    assert {"libpq", "libssl", "libavcodec", "OpenSSL", "PostgreSQL", "Valkey"} <= found.keys()
    assert re.fullmatch(r"[0-9a-f]{64}", found["libpq"]["hashes"][0]["content"])
    assert [found[name]["scope"] for name in ("OpenSSL", "PostgreSQL", "Valkey")] == [
        "required",
        "excluded",
        "excluded",
    ]
    assert stated["cryptography"] == "Apache-2.0 OR BSD-3-Clause"
    references = [each["bom-ref"] for each in bill["components"] if "bom-ref" in each]
    assert len(references) == len(set(references))
