"""WeChat Pay v2's envelope: a flat XML document and its signature."""

import hashlib
import hmac
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from .base import Fields, Unsigned


def sign(fields: Mapping[str, str], key: str, sign_type: str) -> str:
    """The A-Z signature over every non-empty field but `sign`, upper-case hex."""
    pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if value != "" and name != "sign"]
    text = "&".join([*pairs, f"key={key}"]).encode()
    if sign_type == "HMAC-SHA256":
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()
    return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()


def to_xml(fields: Mapping[str, str]) -> str:
    """A flat document, every value in CDATA."""
    split = "]]]]><![CDATA[>"
    parts = [f"<{name}><![CDATA[{value.replace(']]>', split)}]]></{name}>" for name, value in fields.items()]
    return f"<xml>{''.join(parts)}</xml>"


def from_xml(body: bytes) -> Fields:
    """The fields of a flat document. Raises ValueError for anything else: DTD, nesting, repeated elements."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise ValueError(str(error)) from error
    fields = {element.tag: element.text or "" for element in root}
    if root.tag != "xml" or len(fields) != len(root) or any(len(element) for element in root):
        raise ValueError("not a flat <xml> document")
    return fields


def fail(text: str) -> Unsigned:
    return Unsigned(to_xml({"return_code": "FAIL", "return_msg": text}).encode())
