"""The flat XML: everything that can be written comes back, and nothing else is read."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topup.gateways.wechat.v2 import xml

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True)
# Everything that XML 1.0 can carry and reads back as it was written.
VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufffe\uffff", min_codepoint=0x20)
    | st.sampled_from("\t\n")
)


@given(
    st.dictionaries(NAMES, VALUES | st.sampled_from(["]]>", "]]]]>>", "]]", "<a>&amp;</a>", "&lt;", "<![CDATA[x]]>"]))
)
def test_what_is_written_is_read_back(fields: dict[str, str]) -> None:
    assert xml.parse(xml.build(fields).encode()) == fields


@pytest.mark.parametrize("value", ["\x00", "a\x0bb", "\r\n", "\ufffe", "\ud800"])
def test_what_xml_cannot_carry_is_not_written(value: str) -> None:
    with pytest.raises(xml.XMLError):
        xml.build({"a": value})


def test_bare_values_entities_of_xml_itself_and_order_are_read() -> None:
    body = "\ufeff<?xml version='1.0' encoding='GBK'?>\n<xml>\n <b>1 &lt; 2</b><a> x </a><c/><d></d>\n</xml>"
    assert xml.parse(body.encode()) == {"b": "1 < 2", "a": " x ", "c": "", "d": ""}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"not xml",
        b"<xml>",
        b"<xml/><xml/>",
        b"<html></html>",
        b"<xml><a>1</a><a>1</a></xml>",
        b"<xml><a><b>1</b></a></xml>",
        b"<xml xmlns='urn:x'><a>1</a></xml>",
        b"<xml xmlns:x='urn:x'><x:a>1</x:a></xml>",
        b"<xml><a>&unknown;</a></xml>",
        b"<xml><a>\xff</a></xml>",
        "<xml><a>中</a></xml>".encode("gbk"),
        "<xml><a>1</a></xml>".encode("utf-16"),
        b"<xml>" + b"<a>" * 9000 + b"</a>" * 9000 + b"</xml>",
        b"<xml><a>" + b"x" * xml.MAX_BYTES + b"</a></xml>",
    ],
)
def test_everything_else_is_refused(body: bytes) -> None:
    with pytest.raises(xml.XMLError):
        xml.parse(body)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"<xml><a>1</a>" + tail))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(xml.XMLError):
        xml.parse(body)


def test_the_largest_document_is_read_quickly() -> None:
    body = xml.build({f"name{number}": "value" for number in range(1500)}).encode()
    started = time.process_time()
    xml.parse(body)
    assert time.process_time() - started < 0.25
