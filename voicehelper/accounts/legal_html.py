"""Legal texts as HTML: the little of Markdown that they use. Everything is escaped first; only http(s) addresses become
links."""

import re

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_HEADING = re.compile(r"(#{1,4})\s+(.+)")
_ITEM = re.compile(r"\s*(?:([-*])|\d+[.)、])\s+(.+)")


def as_html(text: str) -> SafeString:
    """Headings, paragraphs, lists, bold, links. A heading of the first rank is the second of the page."""
    blocks = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())
    return mark_safe("\n".join(_block(block.strip("\n")) for block in blocks if block.strip()))  # noqa: S308  # escaped


def _block(block: str) -> str:
    first, *rest = block.split("\n")
    if heading := _HEADING.fullmatch(first.strip()):
        rank = min(6, len(heading[1]) + 1)
        after = _block("\n".join(rest)) if rest else ""
        return f"<h{rank}>{_inline(heading[2])}</h{rank}>{after}"
    items = [_ITEM.fullmatch(line) for line in block.split("\n")]
    if items[0] and all(items):
        tag = "ul" if items[0][1] else "ol"
        return f"<{tag}>{''.join(f'<li>{_inline(item[2])}</li>' for item in items if item)}</{tag}>"
    return f"<p>{'<br>'.join(map(_inline, block.split(chr(10))))}</p>"


def _inline(text: str) -> str:
    text = _BOLD.sub(r"<strong>\1</strong>", escape(text))
    return _LINK.sub(r'<a href="\2" rel="noopener">\1</a>', text)
