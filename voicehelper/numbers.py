"""Numbers as people read them, the same in both languages. static/js/numbers.js writes them alike."""

_LAST_PAGE = 100_000


def grouped(number: int) -> str:
    """1234567 → "1,234,567". Django's Chinese format groups by no sign at all."""
    return f"{number:,}"


def page_number(typed: str) -> int:
    """The page that an address asks for: the first where it says nothing that makes sense."""
    return min(_LAST_PAGE, max(1, int(typed[:7]))) if typed.isascii() and typed.isdigit() else 1


def percent(part: int, whole: int) -> str:
    """With one decimal, half up, in integers: "97.5%"; a dash while there is nothing to divide by."""
    if not whole:
        return "—"
    permille = (2000 * part + whole) // (2 * whole)
    return f"{permille // 10}.{permille % 10}%"
