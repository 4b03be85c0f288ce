"""Signed JSON: the exact text of one member, however it was written."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topup.gateways.alipay.signed_json import JSONError, SignedMember, signed_member

NAMES = ("a_response", "error_response")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
BLANKS = st.text(" \t\r\n", max_size=3)


@given(
    st.dictionaries(st.text(), JSON, max_size=4),
    st.text(),
    st.booleans(),
    BLANKS,
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_the_text_is_exactly_what_was_sent(
    value: dict[str, object], sign: str, sign_first: bool, blank: str, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    members = [f'"a_response"{blank}:{blank}{text}', f'"sign":{blank}{json.dumps(sign)}', '"other":[1,{"sign":"no"}]']
    body = blank + "{" + f"{blank},{blank}".join(members[::-1] if sign_first else members) + "}" + blank
    assert signed_member(body.encode(), NAMES).text == text


def test_plain_values_are_kept_as_text_and_the_rest_is_left_out() -> None:
    body = b'{"a_response":{"s":"x\\/y","n":19.90,"i":10000,"l":[1],"o":{"s":"y"},"t":true,"z":null},"sign":"S"}'
    found = signed_member(body, NAMES)
    assert found.values == {"s": "x/y", "n": "19.90", "i": "10000"}
    assert (found.text[:9], found.signature, found.serial) == ('{"s":"x\\/', "S", "")


def test_braces_quotes_and_names_inside_of_strings_do_not_matter() -> None:
    node = r'{"subject":"}{\"a_response\":{\"code\":\"1\"},\"sign\":\"x\"\\","code":"2"}'
    body = '{"note":"\\"a_response\\":{}","a_response":' + node + ',"sign":"S"}'
    assert signed_member(body.encode(), NAMES).text == node


def test_an_answer_without_a_sign_has_none() -> None:
    for body in (b'{"error_response":{"code":"1"}}', b'{"error_response":{"code":"1"},"sign":null}'):
        assert signed_member(body, NAMES) == SignedMember('{"code":"1"}', {"code": "1"}, "", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'"a_response"',
        b'{"a_response":{"code":"1"}',
        b'{"a_response":{"code":"1"},"sign":"S"',
        b'{"a_response":{"code":"1"},"sign":"S"}}',
        b'{"a_response":{"code":"1"},"sign":"S"}{}',
        b'{"a_response":{"code":"1"},"a_response":{"code":"2"},"sign":"S"}',
        b'{"a_response":{"code":"1"},"a\\u005fresponse":{"code":"2"},"sign":"S"}',
        b'{"a_response":{"code":"1","code":"2"},"sign":"S"}',
        b'{"a_response":{"o":{"x":1,"x":2}},"sign":"S"}',
        b'{"a_response":{"code":"1"},"sign":"S","sign":"T"}',
        b'{"a_response":{"code":"1"},"error_response":{"code":"2"},"sign":"S"}',
        b'{"a_response":"text","sign":"S"}',
        b'{"a_response":[{}],"sign":"S"}',
        b'{"another_response":{"code":"1"},"sign":"S"}',
        b'{"a_response":{"code":NaN},"sign":"S"}',
        b'{"a_response":{"code":-Infinity},"sign":"S"}',
        b'{"a_response":{"code":"1"},}',
        b'{"a_response" {"code":"1"}}',
        b'{1:{"code":"1"}}',
        b"{'a_response':{}}",
        b'{"a_response":{"code":"\x01"}}',
        b'{"a_response":{"code":"\xff"}}',
        '{"a_response":{"code":"中"}}'.encode("gbk"),
        b'\xef\xbb\xbf\xef\xbb\xbf{"a_response":{}}',
        b'{"a_response":' + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"}",
        b'{"a_response":' + b"[" * 60000,
        b'{"a_response":{"code":"' + b"x" * 65536 + b'"}}',
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
def test_everything_else_is_refused(body: bytes) -> None:
    with pytest.raises(JSONError):
        signed_member(body, NAMES)


@given(st.binary(max_size=100) | st.binary(max_size=40).map(lambda tail: b'{"a_response":{"a":"1"},' + tail))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        found = signed_member(body, NAMES)
    except JSONError:
        return
    assert found.text.encode() in body


def test_a_large_answer_is_read_quickly() -> None:
    body = b'{"a_response":{%s},"sign":"S"}' % b",".join(b'"n%d":"v"' % n for n in range(5000))
    started = time.process_time()
    signed_member(body, NAMES)
    assert time.process_time() - started < 0.25
