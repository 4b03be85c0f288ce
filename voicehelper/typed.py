"""What people type and paste, as they see it."""

# Marks without width that come along from web pages and chats. Joiners are none: some letters and pictures want them.
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufeff"))


def as_seen(text: str) -> str:
    """A text without what nobody sees of it, and without blanks around it."""
    return text.translate(_UNSEEN).strip()
