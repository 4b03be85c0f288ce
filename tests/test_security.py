"""docs/security.md answers each requirement it should, and what it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| (.+?) \| (met|partly|no|n/a) \| (.+) \|$", re.MULTILINE)
# Of ASVS 5.0.0: how many requirements each section has at level 1; of chapters 6 to 8 at level 2 as well.
SECTIONS = {
    "1.2": 5, "1.3": 2, "1.5": 1, "2.1": 1, "2.2": 2, "2.3": 1, "3.2": 2, "3.3": 1, "3.4": 2, "3.5": 3, "4.1": 1,
    "4.4": 1, "5.2": 2, "5.3": 2, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3,
    "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 1,
    "10.4": 5, "11.3": 2, "11.4": 1, "12.1": 1, "12.2": 2, "13.4": 1, "14.2": 1, "14.3": 1, "15.1": 1, "15.2": 1,
    "15.3": 1,
}  # fmt: skip


def rows() -> list[tuple[str, ...]]:
    return ROW.findall((ROOT / "docs/security.md").read_text())


def test_every_requirement_is_answered_once() -> None:
    numbers = [row[0] for row in rows()]
    expected = [f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    assert numbers == expected
    assert all(row[1] == "1" for row in rows() if row[0].split(".")[0] not in "678")


def test_what_shows_it_exists() -> None:
    for number, _level, _text, _state, shown in rows():
        for named in re.findall(r"`([\w./-]+(?:::\w+)?)`", shown):
            path, _colons, test = named.partition("::")
            if ("/" not in path and not (ROOT / path).exists()) or path.startswith("/"):
                continue  # a word of code, an address
            assert (ROOT / path).exists(), f"{number}: {path}"
            assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{number}: {named}"


def test_what_is_not_met_says_why() -> None:
    for number, _level, _text, state, shown in rows():
        words = re.sub(r"`[^`]*`", "", shown)
        assert state == "met" or len(words.split()) >= 2, number
