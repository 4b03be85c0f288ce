"""Compiles locale/*/LC_MESSAGES/*.po, because Django reads only the compiled form and git holds only the sources."""

import tempfile
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


def compile_translations(locale: Path) -> int:
    """How many files had changed since they were last compiled. Safe while others read or compile them too."""
    changed = 0
    for source in locale.glob("*/LC_MESSAGES/*.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        with source.open("rb") as stream:
            catalog = read_po(stream, locale=source.parent.parent.name)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as new:
            write_mo(new, catalog)
        Path(new.name).chmod(0o644)
        Path(new.name).replace(target)
        changed += 1
    return changed
