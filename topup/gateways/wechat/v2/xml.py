"""The flat XML of WeChat Pay: one root, one level of elements, text only. Everything else is refused.

What XML can do beyond that has been used to attack callbacks: entities that read files or explode (CVE-2018-13439 in
WeChat's own SDK), and documents that two parsers read differently.
"""

import re
from collections.abc import Mapping

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

MAX_BYTES = 64 * 1024

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
# Everything XML 1.0 has no way to write, and the carriage return, which it would read back as a line feed.
_UNWRITABLE = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class XMLError(ValueError):
    """Not the XML of this protocol."""


def build(fields: Mapping[str, str]) -> str:
    """`fields` as elements in CDATA under `<xml>`. Raises XMLError for a character that XML cannot carry."""
    return "<xml>" + "".join(f"<{name}>{_cdata(value)}</{name}>" for name, value in fields.items()) + "</xml>"


def _cdata(value: str) -> str:
    if _UNWRITABLE.search(value):
        raise XMLError("A value holds a control character, which XML cannot carry.")
    return "<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def parse(body: bytes, *, root: str = "xml") -> dict[str, str]:
    """The elements under `root` with their text, exactly as written. Raises XMLError for everything unexpected:
    more than 64 KiB, another encoding than UTF-8, a DTD, an entity, nesting, an element that comes twice."""
    if len(body) > MAX_BYTES:
        raise XMLError(f"More than {MAX_BYTES} bytes.")
    try:
        # As text, the parser has no say in the encoding. Blank lines before a declaration are no XML, and do come.
        text = body.decode("utf-8-sig").lstrip()
        tree = fromstring(text, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except UnicodeDecodeError as error:
        raise XMLError("Not UTF-8.") from error
    except DefusedXmlException as error:
        raise XMLError("It has a DTD or an entity.") from error
    except (ParseError, ValueError) as error:
        raise XMLError(f"Not well-formed XML: {error}.") from error
    if tree.tag != root:
        raise XMLError(f"The root element is not <{root}>.")
    fields: dict[str, str] = {}
    for element in tree:
        if len(element) or not _NAME.fullmatch(element.tag):
            raise XMLError("An element holds elements, or has a namespace.")
        if element.tag in fields:
            raise XMLError(f"<{element.tag}> comes twice.")
        fields[element.tag] = element.text or ""
    return fields
