"""Faults B: bytes made to hurt. They are refused before they cost anything, and the honest notice still counts."""

import gc
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus
from xml.etree import ElementTree

import pytest
import uvicorn
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.conftest import full, sampled
from tests.far_side import FarSide
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.gateways.errors import Malformed
from topup.gateways.notices import IncomingNotice
from topup.gateways.wechat.v2 import WeChatConfig, WeChatPayV2
from topup.models import Notice, Order
from voicehelper.accounts.models import User
from voicehelper.protocol import Bounded

from .conftest import CallbackDesk, balance, credited_once, last_notice, not_credited
from .scripted import Merchant, gateway_of

pytestmark = pytest.mark.django_db


def with_prologue(merchant: WeChatMerchant, order: Order, prologue: str, **changes: str) -> bytes:
    """A notice, rightly signed as an attacker with luck would have it, behind a document type."""
    return prologue.encode() + merchant.notice(order, **changes)


def test_B1_no_external_entity_is_fetched_over_file_or_http(
    wechat: WeChatMerchant, buyer: User, provider: Client, tmp_path: Any
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("CANARY-OF-THE-FILE")
    order = pending_order(buyer, wechat)
    desk = CallbackDesk(wechat, provider)
    with FarSide() as far_side:
        targets = [
            secret.as_uri(),
            "file:///etc/passwd",
            f"{far_side.url}/evil.dtd",
            "ftp://127.0.0.1/x",
            "expect://id",
        ]
        for target in targets:
            for prologue in (
                f'<!DOCTYPE xml [<!ENTITY x SYSTEM "{target}">]>',
                f'<!DOCTYPE xml [<!ENTITY x PUBLIC "x" "{target}">]>',
                f'<!DOCTYPE xml [<!ENTITY % x SYSTEM "{target}"> %x;]>',
                f'<!DOCTYPE xml SYSTEM "{target}">',
                f'<?xml-stylesheet href="{target}"?><!DOCTYPE xml SYSTEM "{target}">',
            ):
                body = with_prologue(wechat, order, prologue).replace(b"<![CDATA[OTHERS]]>", b"&x;")
                assert not desk.acknowledged(body), prologue
                assert "CANARY" not in desk.deliver(body).content.decode()
        include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="{secret.as_uri()}"/>'
        assert not desk.acknowledged(wechat.notice(order).replace(b"<bank_type>", include.encode() + b"<bank_type>"))
        assert far_side.connections == 0
    not_credited(order)
    assert not Notice.objects.filter(body__contains="CANARY-OF-THE-FILE").exists()
    assert {notice.verdict for notice in Notice.objects.all()} == {Notice.Verdict.MALFORMED}


def bombs() -> dict[str, bytes]:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return {
        "laughs": f'<!DOCTYPE xml [<!ENTITY l0 "lol">{laughs}]><xml><sign>&l11;</sign></xml>'.encode(),
        "quadratic": f'<!DOCTYPE xml [<!ENTITY a "{"a" * 20_000}">]><xml><sign>{"&a;" * 10_000}</sign></xml>'.encode(),
        "parameters": b'<!DOCTYPE xml [<!ENTITY % a "%b;%b;"><!ENTITY % b "%a;%a;"> %a;]><xml></xml>',
        "deep": b"<xml>" * 10_000 + b"</xml>" * 5_000,
        "wide": b"<xml>" + b"".join(b"<a%d>1</a%d>" % (n, n) for n in range(4_000)) + b"</xml>",
        "attributes": b"<xml " + b" ".join(b'a%d="1"' % n for n in range(5_000)) + b"></xml>",
        "long name": b"<xml><" + b"a" * 60_000 + b"/></xml>",
        "open cdata": b"<xml><sign><![CDATA[" + b"]" * 60_000,
        "comment": b"<xml><!--" + b"- " * 30_000,
    }


@pytest.mark.parametrize("name", sampled(bombs(), keep=3))
def test_B2_a_bomb_is_refused_quickly_in_little_memory(name: str, wechat: WeChatMerchant, provider: Client) -> None:
    body = bombs()[name][: 64 * 1024]
    gateway = WeChatPayV2(WeChatConfig(wechat.app_id, wechat.mch_id, wechat.key))
    took = []
    for _ in range(3):
        gc.collect()
        # The thread's own time: the machine may be busy with other tests.
        started = time.thread_time()
        with pytest.raises(Malformed):
            gateway.open(IncomingNotice(body))
        took.append(time.thread_time() - started)
    assert min(took) < 0.05
    tracemalloc.start()
    with suppress(Malformed):
        gateway.open(IncomingNotice(body))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert not CallbackDesk(wechat, provider).acknowledged(body)


@pytest.mark.parametrize(
    "prologue",
    sampled(
        [
            "<!DOCTYPE xml>",
            "<!DOCTYPE xml []>",
            '<?xml version="1.0"?><!DOCTYPE xml>',
            "\n\n<!DOCTYPE xml>",
            "<!-- harmless --><!DOCTYPE xml>",
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">',
            "<!DOCTYPE xml [<!ELEMENT xml ANY>]>",
        ],
        keep=3,
    ),
)
def test_B3_a_document_type_is_refused_however_well_it_is_signed(
    prologue: str, wechat: WeChatMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, wechat)
    desk = CallbackDesk(wechat, provider)
    for body in (
        with_prologue(wechat, order, prologue),
        b"\xef\xbb\xbf" + with_prologue(wechat, order, prologue),
        with_prologue(wechat, order, prologue).decode().encode("utf-16"),
        with_prologue(wechat, order, f'<?xml version="1.0" encoding="utf-7"?>{prologue}'),
    ):
        response = desk.deliver(body)
        assert "解析数据失败" in response.content.decode()
        assert last_notice().verdict == Notice.Verdict.MALFORMED
    not_credited(order)
    assert desk.acknowledged(b"\xef\xbb\xbf" + b'<?xml version="1.0" encoding="UTF-8"?>' + wechat.notice(order))
    credited_once(order)


# --- B4: size and slowness -------------------------------------------------------------------------------------------
@pytest.fixture
def server(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The product under uvicorn on a free port, as in production but for a shorter patience; yields the port."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    from voicehelper import asgi

    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(asgi, "BODY_SECONDS", 1.0)
    # The server's threads stay when it stops; a connection they kept would stand in the way of dropping the database.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    config = uvicorn.Config(asgi.application, http=Bounded, port=port, lifespan="off", ws="none", log_config=None)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield port
    running.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def raw(port: int, path: str, body: list[bytes], headers: str, *, pause_s: float = 0) -> bytes:
    """Send the parts of a body, pausing between them; what the server says until it hangs up."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "Content-Type: text/xml", headers]
        head = "\r\n".join([*lines, "", ""])
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(head.encode())
            for part in body:
                connection.sendall(part)
                time.sleep(pause_s)
        with suppress(ConnectionError):
            while more := connection.recv(65536):
                answer += more
    return answer


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_B4_a_large_slow_or_endless_body_costs_no_worker(server: int, wechat: WeChatMerchant) -> None:
    buyer = User.objects.create_user("buyer")
    order = pending_order(buyer, wechat)
    genuine = wechat.notice(order)
    # One byte too many, announced, not announced, and lied about.
    large = b"<xml>" + b" " * (64 * 1024 - 4)
    callbacks = [f"/api/{name}/{tail}" for name in ("wechat", "alipay") for tail in ("notify", "webhook", "notify/")]
    for path in (*callbacks, "/api/wechat/refund-notify", "//api//alipay//webhook//"):
        assert b" 413 " in raw(server, path, [large], f"Content-Length: {len(large)}").split(b"\r\n")[0]
    chunks = [chunk(b"a" * 8192)] * 100
    assert b" 413 " in raw(server, "/api/wechat/notify", chunks, "Transfer-Encoding: chunked").split(b"\r\n")[0]
    huge = [b"a" * 65536] * 40
    assert b" 413 " in raw(server, "/api/user/amount", huge, f"Content-Length: {65536 * 40}").split(b"\r\n")[0]
    # Thirty senders that never finish, more than there are threads; and an honest one among them.
    answers: list[bytes] = []
    part = [genuine[:50], *[genuine[50 + n : 51 + n] for n in range(30)]]

    def dawdle() -> None:
        headers = f"Content-Length: {len(genuine)}"
        answers.append(raw(server, "/api/wechat/notify", part, headers, pause_s=0.05))

    threads = [threading.Thread(target=dawdle) for _ in range(30)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    started = time.monotonic()
    honest = raw(server, "/api/wechat/notify", [genuine], f"Content-Length: {len(genuine)}")
    assert b"SUCCESS" in honest
    assert time.monotonic() - started < 3
    for thread in threads:
        thread.join(20)
    assert [b" 408 " in answer.split(b"\r\n")[0] for answer in answers] == [True] * 30
    credited_once(order)


def test_B4_a_large_body_is_refused_behind_any_other_server_as_well(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    if gateway_of(desk.merchant) == "wechat":
        body = desk.merchant.notice(order).replace(b"</xml>", b" " * 65536 + b"</xml>")
    else:
        body = desk.merchant.notice(order, passback_params="a" * 65536)
    assert not desk.acknowledged(body)
    not_credited(order)
    assert len(last_notice().body) <= 4096
    assert desk.deliver(b" " * (2 * 1024 * 1024)).status_code in (400, 413)


# --- B6, B7 ----------------------------------------------------------------------------------------------------------
NASTY = [
    "a+b", "a b", "a%2Bb", "a%252Bb", "a&b=c", "a=b&sign=c", "100%", "%", "é&ü", "语音助手 AI额度充值 + 100次",
    "a\\/b", "a;b", "\t", "😀",
]  # fmt: skip


@pytest.mark.parametrize("text", sampled(NASTY, keep=3))
@pytest.mark.parametrize(
    "encode", [quote_plus, lambda text: quote(text, safe=""), lambda text: quote(text, safe="/:;,")]
)
def test_B6_a_forms_encoding_is_undone_exactly_once(
    text: str, encode: Any, alipay: AlipayMerchant, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, alipay)
    values = {k: str(v) for k, v in alipay.notice_values(order).items()} | {"subject": text, "body": text}
    desk = CallbackDesk(alipay, provider)
    signed = values | {"sign": alipay.sign(values)}
    twice = "&".join(f"{name}={encode(encode(value))}" for name, value in signed.items()).encode()
    assert not desk.acknowledged(twice)
    not_credited(order)
    assert desk.acknowledged("&".join(f"{name}={encode(value)}" for name, value in signed.items()).encode())
    credited_once(order)


def test_B6_a_value_cannot_smuggle_in_a_parameter(alipay: AlipayMerchant, buyer: User, provider: Client) -> None:
    order = pending_order(buyer, alipay)
    desk = CallbackDesk(alipay, provider)
    body = alipay.notice(order, subject="x&total_amount=0.01&out_trade_no=y", total_amount="0.01")
    for smuggled in (
        body + b"&total_amount=73.00",
        b"total_amount=73.00&" + body,
        body.replace(b"total_amount=0.01", b"total_amount=73.00"),
        body.replace(b"%26total_amount", b"&total_amount"),
        body.replace(b"&total_amount=", b";total_amount=73.00&total_amount="),
    ):
        assert not desk.acknowledged(smuggled)
    not_credited(order)


def test_B6_wechat_values_with_markup_inside_verify(wechat: WeChatMerchant, buyer: User, provider: Client) -> None:
    from xml.sax.saxutils import escape

    desk = CallbackDesk(wechat, provider)
    for text in ("a&b=c", "<b>", "]] >", "a+b %2B", "\"'", "语音😀", "&amp;", "a\nb"):
        order = pending_order(buyer, wechat)
        values = {k: str(v) for k, v in wechat.notice_values(order).items()} | {"attach": text}
        assert desk.acknowledged(wechat.xml(values))
        credited_once(order)
        order = pending_order(buyer, wechat)
        values = {k: str(v) for k, v in wechat.notice_values(order).items()} | {"attach": text}
        signed = values | {"sign": wechat.sign(values)}
        escaped = "<xml>" + "".join(f"<{k}>{escape(v)}</{k}>" for k, v in signed.items()) + "</xml>"
        assert desk.acknowledged(escaped.encode())
        credited_once(order)


@pytest.mark.parametrize("route", ["notify", "webhook"])
def test_B7_another_method_or_content_type_is_refused(route: str, desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    body, url = desk.merchant.notice(order), f"/api/{gateway_of(desk.merchant)}/{route}"
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert desk.client.generic(method, url, body, content_type="text/xml").status_code == 405, method
    wechat = gateway_of(desk.merchant) == "wechat"
    # WeChat Pay's API v3 writes JSON.
    for kind in (
        "application/zip" if wechat else "application/json",
        "multipart/form-data; boundary=x",
        "text/html",
        "image/png",
        "nonsense",
    ):
        assert desk.client.post(url, body, content_type=kind).status_code == 400, kind
    not_credited(order)
    assert not Notice.objects.exists()
    kind = (
        "text/xml; charset=utf-8"
        if gateway_of(desk.merchant) == "wechat"
        else "application/x-www-form-urlencoded; charset=utf-8"
    )
    assert desk.client.post(url, body, content_type=kind).status_code == 200
    credited_once(order)


def test_B7_an_empty_body_is_answered_in_the_providers_dialect(desk: CallbackDesk) -> None:
    assert not desk.acknowledged(b"")
    if gateway_of(desk.merchant) == "wechat":
        assert "读取数据失败" in desk.deliver(b"").content.decode()
    assert not Notice.objects.exists()


# --- B9: mutations ---------------------------------------------------------------------------------------------------
@st.composite
def mutations(draw: st.DrawFn, body: bytes) -> bytes:
    """A valid callback, damaged in one to four places."""
    text = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(text) - 1)))
        end = min(len(text), at + draw(st.integers(1, 40)))
        match draw(st.sampled_from(["replace", "insert", "delete", "double", "move", "truncate", "word", "bit"])):
            case "replace":
                text[at:end] = draw(st.binary(max_size=8))
            case "insert":
                text[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "delete":
                del text[at:end]
            case "double":
                text[at:at] = text[at:end]
            case "move":
                piece = bytes(text[at:end])
                del text[at:end]
                to = draw(st.integers(0, len(text)))
                text[to:to] = piece
            case "truncate":
                del text[at:]
            case "word":
                text[at:end] = draw(st.sampled_from(WORDS))
            case "bit" if text:
                text[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(text)


WORDS = [
    b"&", b"=", b"%", b"%00", b"\x00", b"<", b">", b"</xml>", b"<xml>", b"<![CDATA[", b"]]>", b"<!DOCTYPE xml>",
    b"&amp;", b"<sign>", b"</sign>", b"&sign=", b"&total_amount=0.01", b"<total_fee>1</total_fee>", b"1e9", b"-1",
    b"9" * 30, b"\xff\xfe", b"\xef\xbf\xbf", b"%ED%A0%80", b"{}", b"[]", b"null", b"\r\n\r\n", b"SUCCESS", b"FAIL",
    b"MD5", b"RSA",
]  # fmt: skip


def says(merchant: Merchant, body: bytes) -> Any:
    """What a body says to a reader that is not ours; None if it is not even a message."""
    import base64
    import binascii

    if gateway_of(merchant) == "wechat":
        try:
            elements = list(ElementTree.fromstring(body))
        except (ElementTree.ParseError, ValueError, LookupError):
            return None
        return sorted((element.tag, element.text) for element in elements if element.text)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    said = [(name, value) for name, value in pairs if name not in ("sign", "sign_type")]
    signs = [value for name, value in pairs if name == "sign"]
    with suppress(binascii.Error, ValueError):
        signs = [base64.b64decode(sign).hex() for sign in signs]
    return sorted(said) + signs


@pytest.mark.timeout(900)
def test_B9_no_mutation_of_a_genuine_callback_credits_or_breaks_anything(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    body = desk.merchant.notice(order)
    original = says(desk.merchant, body)
    tried = 0

    @settings(
        max_examples=full(5000, 150),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(mutations(body))
    def mutate(mutated: bytes) -> None:
        nonlocal tried
        assume(says(desk.merchant, mutated) != original)
        tried += 1
        response = desk.deliver(mutated)
        assert response.status_code == 200
        assert b"SUCCESS" not in response.content
        assert response.content != b"success"
        not_credited(order)

    mutate()
    assert tried >= full(5000, 150)
    assert balance(buyer) == 0
    assert desk.acknowledged(body)
    credited_once(order)


def test_B9_what_is_kept_of_strangers_is_bounded(desk: CallbackDesk, buyer: User) -> None:
    order = pending_order(buyer, desk.merchant)
    genuine = desk.merchant.notice(order)
    for number in range(80):
        assert not desk.acknowledged(genuine + json.dumps({"number": number}).encode())
    assert Notice.objects.count() <= 60
    assert desk.acknowledged(genuine)
    assert last_notice().verdict == Notice.Verdict.CREDITED
