"""Faults I: what a browser, a script or a stranger can try against the pages and the API."""

import io
import json
import logging
import re
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as project
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.authentication import SessionAuthentication
from rest_framework.test import APIClient

from tests.conftest import rarely, sampled
from tests.image import Image
from tests.orders import pending_order
from topup import services
from topup.api import notices
from topup.models import CodeBatch, Notice, Order
from topup.services.options import read_options
from voicehelper.accounts.models import AccessToken, User
from voicehelper.accounts.services import issue_token, revoke_tokens
from voicehelper.middleware import AddRequestId, OneLine
from voicehelper.wallet.models import Entry

from .conftest import balance, not_credited
from .deployment import bandit, production
from .scripted import ScriptedProvider

pytestmark = pytest.mark.django_db

PASSWORD = "a long buyer password"
SIGN_IN = "/accounts/sign-in"


def browser_of(user: User | None, **more: Any) -> Client:
    browser = Client(**more)
    if user is not None:
        browser.force_login(user)
    return browser


# --- I1: other people's objects --------------------------------------------------------------------------------------
@pytest.fixture
def clerk(db: None) -> User:
    """Staff without any permission."""
    return User.objects.create_user("clerk", password="a long clerk password", is_staff=True)


def test_I1_an_order_shows_itself_to_its_owner_only(
    wechat: Any, buyer: User, other_user: User, clerk: User, staff: User, as_user: Any
) -> None:
    order = pending_order(buyer, wechat)
    pages = [f"/recharge/orders/{order.order_no}", f"/recharge/orders/{order.order_no}/card"]
    api = f"/api/user/topup/orders/{order.order_no}"
    # The owner's pages are his alone; operators have the admin.
    statuses = {None: (302, 401), buyer: (200, 200), other_user: (404, 404), clerk: (404, 404), staff: (404, 404)}
    for who, (page_status, api_status) in statuses.items():
        for page in pages:
            response = browser_of(who).get(page)
            assert response.status_code == page_status, (who, page)
            assert (order.pay_url in response.content.decode()) is False or who == buyer
        for client in (as_user(who), browser_of(who)):
            response = client.get(api)
            assert response.status_code == api_status, who
            assert (order.order_no in response.content.decode()) == (who == buyer)
            for method in ("post", "put", "patch", "delete"):
                assert getattr(client, method)(api).status_code in (401, 403, 405)
    for who in (other_user, clerk, staff):
        listed = as_user(who).get("/api/user/topup/orders").json()["data"]
        assert (listed["total"], listed["items"]) == (0, [])
        assert order.order_no not in browser_of(who).get("/recharge/orders").content.decode()
        assert order.order_no not in browser_of(who).get("/recharge").content.decode()
    assert as_user(buyer).get("/api/user/topup/orders").json()["data"]["total"] == 1
    not_credited(order)


def test_I1_who_asks_for_another_user_gets_himself(buyer: User, other_user: User, as_user: Any) -> None:
    client = as_user(other_user)
    for query in (f"?id={buyer.pk}", f"?user={buyer.pk}", "?username=buyer", f"?user_id={buyer.pk}"):
        assert client.get(f"/api/user/self{query}").json()["data"]["username"] == "stranger"
        assert client.get(f"/api/user/topup/orders{query}").json()["data"]["total"] == 0
    for path in (f"/api/user/{buyer.pk}", f"/api/user/self/{buyer.pk}", "/api/user/topup/orders/"):
        assert client.get(path).status_code == 404


def test_I1_an_invitation_shows_its_visitors_to_its_owner_only(
    buyer: User, other_user: User, clerk: User, staff: User, as_user: Any
) -> None:
    share_id = as_user(buyer).post("/api/share").json()["shareId"]
    assert as_user(other_user).post("/api/share/visit", {"shareId": share_id}, format="json").status_code == 200
    api = f"/api/share/{share_id}"
    for who, status in {None: 401, buyer: 200, other_user: 404, clerk: 404, staff: 404}.items():
        for client in (as_user(who), browser_of(who)):
            assert client.get(api).status_code == status, who
            for method in ("post", "put", "patch", "delete"):
                assert getattr(client, method)(api).status_code in (401, 403, 405)
    for who in (other_user, clerk, staff):
        listed = as_user(who).get(f"/api/share?user={buyer.pk}").json()["data"]
        assert (listed["total"], listed["items"]) == (0, [])
        theirs, nobodys = as_user(who).get(api), as_user(who).get("/api/share/" + "x" * 22)
        assert (theirs.status_code, theirs.content) == (nobodys.status_code, nobodys.content)


def admin_addresses() -> list[str]:
    """All there are below the admin's apps, with 1 for whatever is a number and "ask" for the name of a button."""
    found = [where for where, _view in views() if re.match(r"admin/(?!r/|password_change/)\w+/\w+/", where)]
    return ["/" + re.sub(r"<slug:\w+>", "ask", re.sub(r"<(path|int):\w+>", "1", where)) for where in found]


@pytest.mark.parametrize("part", [0, *rarely(1, 2, 3)])
def test_I1_the_admin_is_closed_to_everybody_without_the_permission(
    buyer: User, clerk: User, staff: User, wechat: Any, part: int
) -> None:
    pending_order(buyer, wechat, pk=1)
    services.make_codes(CodeBatch(pk=1, name="Spring", quota=1, count=1), by="operator")
    nobody, customer, without = (browser_of(who) for who in (None, buyer, clerk))
    addresses, before, office = admin_addresses(), read_options(), browser_of(staff)
    shown, posted = {"order/export.csv", "order/statistics/", "order/statistics.csv"}, {"codebatch/1/codes.csv"}
    assert {f"/admin/topup/{name}" for name in shown | posted} <= set(addresses)
    assert {office.get(f"/admin/topup/{name}").status_code for name in shown} == {200}
    form = {"price": "1", "name": "x", "cost_per_1k": "1", "current_password": "a long clerk password"}
    for address in ("/admin/", *addresses[part::4]):
        assert nobody.get(address).status_code in (302, 404), address
        assert customer.post(address).status_code in (302, 404), address
        if address != "/admin/":
            # Refused, or led to a form that then refuses.
            assert without.get(address).status_code in (302, 403, 404, 405), address
            assert without.post(address, form).status_code != 200, address
    assert (LogEntry.objects.exists(), read_options() == before) == (False, True)
    assert wechat.mch_id not in without.get("/admin/", follow=True).content.decode()
    assert office.get("/admin/").status_code == 200


# --- I2, I3 ----------------------------------------------------------------------------------------------------------
def test_I2_order_numbers_hold_96_random_bits() -> None:
    from voicehelper import clock

    numbers = [Order.new_number(clock.now()) for _ in range(2000)]
    assert len(set(numbers)) == 2000
    tails = [number[8:] for number in numbers]
    assert all(re.fullmatch(r"[0-9]{8}[0-9a-f]{24}", number) for number in numbers)
    # Every one of the 96 bits is a coin.
    ones = [sum(int(tail, 16) >> bit & 1 for tail in tails) for bit in range(96)]
    assert all(800 < count < 1200 for count in ones)


def test_I2_an_order_of_another_and_one_that_never_was_look_the_same(
    wechat: Any, buyer: User, other_user: User, as_user: Any
) -> None:
    order = pending_order(buyer, wechat)
    client, browser = as_user(other_user), browser_of(other_user)
    for prefix in ("/api/user/topup/orders/", "/recharge/orders/"):
        theirs = (client if prefix.startswith("/api") else browser).get(prefix + order.order_no)
        nobodys = (client if prefix.startswith("/api") else browser).get(prefix + order.order_no[:-1] + "z")
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.content == nobodys.content
        assert not prefix.startswith("/api") or theirs.json() == {"success": False, "message": "订单不存在"}


@pytest.mark.django_db(transaction=True)
def test_I3_a_payment_takes_nothing_but_amount_and_method_from_its_request(
    wechat: Any, buyer: User, other_user: User, as_user: Any, settings: Any
) -> None:
    smuggled = {
        "amount": 10,
        "payment_method": "wechat",
        "amount_fen": 1,
        "money": "0.01",
        "quota": 10**12,
        "credits": 10**12,
        "state": "paid",
        "status": "paid",
        "user": other_user.pk,
        "user_id": other_user.pk,
        "group": "vip",
        "discount": "0.01",
        "order_no": "mine0001",
        "out_trade_no": "mine0001",
        "transaction_id": "1",
        "unit_price": "0.01",
        "is_staff": True,
    }
    with ScriptedProvider(wechat, settings) as provider:
        url = "/api/user/wechat/pay?amount=1&amount_fen=1&user=1"
        assert as_user(buyer).post(url, smuggled, format="json").status_code == 200
        order = Order.objects.get()
        assert provider.calls[0].fields["total_fee"] == "7300"
    assert (order.user, order.state, order.amount_fen, order.quota) == (buyer, "pending", 7300, 5_000_000)
    assert order.order_no != "mine0001"
    assert balance(buyer) == 0


def test_I3_signing_up_makes_an_ordinary_user(db: None) -> None:
    form = {
        "username": "climber",
        "password1": "a long climber password",
        "password2": "a long climber password",
        "is_staff": "on",
        "is_superuser": "on",
        "group": "vip",
        "groups": "1",
        "user_permissions": "1",
        "balance": "9",
        "id": "1",
    }
    Group.objects.create(name="operators")
    assert Client().post("/accounts/sign-up", form).status_code == 302
    user = User.objects.get(username="climber")
    assert (user.is_staff, user.is_superuser, user.group, user.groups.count()) == (False, False, "default", 0)
    assert balance(user) == 0
    assert not Entry.objects.exists()


def test_I3_nobody_changes_himself_through_the_api(buyer: User, as_user: Any) -> None:
    rise = {"is_staff": True, "quota": 10**9, "group": "vip", "is_superuser": True}
    client = as_user(buyer)
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)("/api/user/self", rise, format="json").status_code == 405
    answer = APIClient().post("/api/auth/login", {"username": "buyer", "password": PASSWORD, **rise}, format="json")
    assert answer.status_code == 200
    buyer.refresh_from_db()
    assert (buyer.is_staff, buyer.is_superuser, buyer.group) == (False, False, "default")


# --- I4: cross-site requests -----------------------------------------------------------------------------------------
def views(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in (resolver or get_resolver()).url_patterns:
        where = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from views(entry, where)
        elif isinstance(entry, URLPattern):
            yield where, entry.callback


def test_I4_only_provider_callbacks_go_without_csrf_protection() -> None:
    exempt = []
    for where, view in views():
        if where.startswith("sandbox/") or not getattr(view, "csrf_exempt", False):
            continue  # the stand-ins are never mounted in production, and have no sessions
        api = getattr(view, "cls", None)
        if api is None:
            exempt.append((where, view))
            continue
        # Django REST Framework exempts itself and checks when a session is what signs in.
        for how in api.authentication_classes:
            assert how.__name__ == "BearerToken" or issubclass(how, SessionAuthentication), where
        if not api.authentication_classes:
            # Nobody is signed in by them, so nothing can be forged.
            assert where in ("api/auth/login", "api/auth/wx-login"), where
    assert exempt
    assert all(view is notices.notify for _where, view in exempt), exempt
    assert "django.middleware.csrf.CsrfViewMiddleware" in project.MIDDLEWARE


def test_I4_a_session_alone_posts_nothing(wechat: Any, alipay: Any, buyer: User, staff: User) -> None:
    order = pending_order(buyer, wechat)
    forms: list[tuple[User, str, str, Any]] = [
        (buyer, "post", "/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"}),
        (buyer, "post", "/api/user/alipay/pay", {"amount": 10, "payment_method": "alipay"}),
        (buyer, "post", "/api/user/amount", {"amount": 10, "payment_method": "wechat"}),
        (buyer, "post", "/api/share", {}),
        (buyer, "post", "/api/share/visit", {"shareId": "x"}),
        (buyer, "post", "/api/auth/wx-bind", {"code": "x"}),
        (buyer, "post", "/recharge", {"amount": 10, "payment_method": "wechat", "intent": "0" * 32}),
        (buyer, "post", "/chat", {"content": "x", "intent": "0" * 32}),
        (buyer, "post", "/keys", {"name": "x"}),
        (buyer, "post", "/api/chat/message", {"content": "Hi"}),
        (buyer, "delete", "/api/user/keys/1", {}),
        (buyer, "post", "/accounts/password", {"old_password": PASSWORD}),
        (buyer, "post", "/accounts/email", {"email": "x@example.com", "password": PASSWORD}),
        (buyer, "post", "/accounts/email/x", {}),
        (buyer, "post", "/accounts/forgot", {"who": "buyer"}),
        (buyer, "post", "/accounts/devices", {"password": PASSWORD}),
        (buyer, "post", "/accounts/devices/1/end", {}),
        (buyer, "post", "/accounts/code", {"code": "123456"}),
        (buyer, "post", "/accounts/two-steps", {"step": "begin", "password": PASSWORD}),
        *((buyer, "post", f"/accounts/passkeys/{each}", {}) for each in ("begin", "add", "ask", "sign-in", "1")),
        (buyer, "post", "/accounts/wechat", {"step": "bind", "password": PASSWORD}),
        (buyer, "post", "/accounts/data/export", {"password": PASSWORD}),
        (buyer, "post", "/accounts/data/export/drop", {}),
        (buyer, "post", "/accounts/delete", {"password": PASSWORD}),
        (buyer, "post", "/accounts/minors", {"password": PASSWORD, "step": "on"}),
        (buyer, "post", "/accounts/consent", {}),
        (buyer, "post", "/api/user/consent", {"privacy": 1}),
        *((buyer, "post", f"/api/user/{each}", {}) for each in ("export", "export/link", "deletion")),
        (buyer, "delete", "/api/user/export", {}),
        (buyer, "post", "/accounts/tokens/1/end", {}),
        (buyer, "post", "/accounts/sign-out", {}),
        (buyer, "post", SIGN_IN, {"username": "buyer", "password": PASSWORD}),
        (buyer, "post", "/accounts/sign-up", {"username": "x"}),
        (buyer, "post", "/i18n/setlang/", {"language": "en"}),
        (staff, "put", "/api/option", {"Price": 1}),
        (staff, "post", "/admin/topup/wechatsettings/1/change/", {"enabled": ""}),
        (staff, "post", f"/admin/topup/order/{order.pk}/do/ask/", {}),
    ]
    for who, method, url, body in forms:
        browser = browser_of(who, enforce_csrf_checks=True)
        kind = "application/json" if url.startswith("/api/") else "application/x-www-form-urlencoded"
        data = json.dumps(body) if url.startswith("/api/") else "&".join(f"{k}={v}" for k, v in body.items())
        for headers in ({}, {"HTTP_ORIGIN": "https://evil.example"}, {"HTTP_X_CSRFTOKEN": "a" * 64}):
            response = getattr(browser, method)(url, data, content_type=kind, **headers)
            assert response.status_code == 403, (url, headers)
        assert browser.get("/recharge").status_code in (200, 302)
    assert Order.objects.count() == 1


def test_I4_a_page_with_its_token_may(buyer: User) -> None:
    browser = browser_of(buyer, enforce_csrf_checks=True)
    page = browser.get("/recharge").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    response = browser.post("/accounts/sign-out", {"csrfmiddlewaretoken": token[1]})
    assert response.status_code == 302
    assert "_auth_user_id" not in browser.session


# --- I6: guessing passwords ------------------------------------------------------------------------------------------
def try_api(name: str, password: str, **more: Any) -> Any:
    return APIClient().post("/api/auth/login", {"username": name, "password": password}, format="json", **more)


def test_I6_a_name_is_guessed_at_ten_times_and_then_not_even_the_password_helps(buyer: User) -> None:
    for _ in range(10):
        assert try_api("buyer", secrets.token_hex(8)).status_code == 401
    braked = try_api("buyer", PASSWORD)
    assert braked.status_code == 429
    assert 1 <= int(braked["Retry-After"]) <= 600
    # Through no other door either, nor in other spelling or from elsewhere.
    page = Client().post(SIGN_IN, {"username": "buyer", "password": PASSWORD})
    assert (page.status_code, "_auth_user_id" in page.wsgi_request.session) == (429, False)
    admin = Client().post("/admin/login/", {"username": "buyer", "password": PASSWORD})
    assert "_auth_user_id" not in admin.wsgi_request.session
    assert try_api("BUYER", PASSWORD).status_code == 429
    assert try_api("buyer", PASSWORD, REMOTE_ADDR="203.0.113.9").status_code == 429
    assert not AccessToken.objects.exists()


def test_I6_an_address_guesses_fifty_times_whatever_it_claims_to_be(buyer: User, other_user: User) -> None:
    for number in range(50):
        answer = try_api(f"name{number}", "x", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}", HTTP_X_REAL_IP="1.2.3.4")
        assert answer.status_code == 401
    assert try_api("buyer", PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 429
    assert try_api("buyer", PASSWORD, REMOTE_ADDR="203.0.113.9").status_code == 200


def test_I6_behind_our_proxy_a_made_up_hop_in_front_does_not_help(buyer: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(50):
        try_api(f"name{number}", "x", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}, 203.0.113.7")
    assert try_api("buyer", PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.1, 203.0.113.7").status_code == 429
    assert try_api("buyer", PASSWORD, HTTP_X_FORWARDED_FOR="192.0.2.1, 203.0.113.8").status_code == 200


def test_I6_the_answer_does_not_tell_whether_a_name_exists(buyer: User) -> None:
    inactive = User.objects.create_user("gone", password=PASSWORD, is_active=False)
    answers = [try_api(name, "wrong") for name in ("buyer", "nobody", inactive.username)] + [try_api("gone", PASSWORD)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}


# --- I7: SQL ---------------------------------------------------------------------------------------------------------
SQL = [
    "'",
    "'; DROP TABLE topup_order; --",
    "\\'",
    "%s",
    "\x00",
    *rarely(
        "' OR '1'='1",
        '" OR ""="',
        "1) OR (1=1",
        "%",
        "' UNION SELECT version()--",
        "'; SELECT pg_sleep(3); --",
        "$$;SELECT 1;$$",
        "\u02bc OR 1=1",
    ),
]


@pytest.mark.parametrize("probe", sampled(SQL, keep=2))
def test_I7_sql_in_whatever_is_sent_is_only_text(
    probe: str, wechat: Any, buyer: User, staff: User, as_user: Any
) -> None:
    order = pending_order(buyer, wechat)
    stranger = APIClient(raise_request_exception=False)
    client, operator = as_user(buyer), as_user(staff)
    client.raise_request_exception = operator.raise_request_exception = False
    raw = probe.encode().decode("latin-1")  # as a server hands on the bytes of a header
    answers = [
        stranger.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {raw}"),
        stranger.get("/api/user/self", HTTP_AUTHORIZATION=f"{raw} {raw}"),
        stranger.get("/api/user/self", HTTP_COOKIE=f"sessionid={raw}"),
        stranger.post("/api/auth/login", {"username": probe, "password": probe}, format="json"),
        stranger.post("/api/share/visit", {"shareId": probe}, format="json"),
        stranger.post("/accounts/sign-in", {"username": probe, "password": probe}),
        stranger.post("/accounts/sign-up", {"username": probe, "password1": probe, "password2": probe}),
        stranger.post("/accounts/forgot", {"who": probe}),
        stranger.post(
            "/api/wechat/notify",
            wechat.notice(order, out_trade_no="x" + probe.replace("\x00", "")),
            content_type="text/xml",
        ),
        client.get("/api/user/topup/orders", {"page": probe, "page_size": probe}),
        client.get(f"/api/user/topup/orders/{probe}"),
        client.post("/api/user/wechat/pay", {"amount": 10, "payment_method": probe}, format="json"),
        client.post("/api/user/amount", {"amount": probe, "payment_method": "wechat"}, format="json"),
        client.post(
            "/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"}, format="json", HTTP_IDEMPOTENCY_KEY=raw
        ),
        operator.put("/api/option", {probe: probe}, format="json"),
        operator.put("/api/option", {"TopupGroupRatio": {probe: 1}}, format="json"),
    ]
    broken = [answer.request["PATH_INFO"] for answer in answers if answer.status_code >= 500]
    # No provider answers here: 502 is what a payment that was well asked for says.
    assert broken in ([], ["/api/user/wechat/pay"])
    assert answers[12].status_code in (400, 502)
    assert all(answer.status_code == 401 for answer in answers[:2])
    operator_browser = browser_of(staff, raise_request_exception=False)
    for query in (
        {"q": probe},
        {"o": probe},
        {"p": probe},
        {"username": probe},
        {"state": probe},
        {"_to_field": probe},
    ):
        assert operator_browser.get("/admin/topup/order/", query).status_code < 500, query
    assert Order.objects.filter(pk=order.pk).exists()
    assert Order.objects.filter(user=buyer).count() <= 2


@pytest.mark.rare
@pytest.mark.xdist_group("bandit")
def test_I7_bandit_finds_no_sql_made_of_strings() -> None:
    assert [found for found in bandit()["results"] if found["test_id"] in ("B608", "B610", "B611")] == []


# --- I9: logs --------------------------------------------------------------------------------------------------------
@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the product's own handler would write."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    line = project.LOGGING["formatters"]["line"]
    handler.setFormatter(OneLine(line["format"], style=line["style"]))
    handler.addFilter(AddRequestId())
    root = logging.getLogger()
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


# A record, or the indented line of a trace that belongs to one.
LINE = re.compile(r"  |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ([0-9a-f]{16}|-) [\w.]+: ")
FORGED = (
    "x\x1b[2J\x85\u2028\x9b31m\r2026-11-21 12:00:00,000 forged\r\n2026-11-21 12:00:00,000 INFO - topup: all is well"
)


def lines(log: io.StringIO) -> list[str]:
    return [line for line in re.split(r"[\r\n\x85\u2028\u2029]", log.getvalue()) if line]


def test_I9_a_stranger_cannot_write_a_line_of_our_log(
    log: io.StringIO, wechat: Any, alipay: Any, buyer: User, as_user: Any
) -> None:
    order = pending_order(buyer, wechat)
    client = as_user(buyer)
    client.get("/api/user/topup/orders/" + "x%0d%0a2026-11-21 forged%1b[2J")
    client.get("/nowhere%0d%0a2026-11-21%1b[31m forged")
    Client().post(SIGN_IN, {"username": FORGED, "password": "x"})
    try_api(FORGED, FORGED)
    Client(raise_request_exception=False).get("/", HTTP_HOST="evil.example\r\n2026 forged", HTTP_USER_AGENT=FORGED)
    Client().get("/", HTTP_X_REQUEST_ID=FORGED)
    Client().post(
        "/api/wechat/notify",
        wechat.notice(order, attach=FORGED).replace(b"SUCCESS", FORGED.encode()),
        content_type="text/xml",
    )
    for _ in range(65):  # past what is kept: the log says that, too
        Client().post(
            "/api/alipay/notify",
            alipay.notice(order, out_trade_no=FORGED),
            content_type="application/x-www-form-urlencoded",
        )
    logging.getLogger("topup").warning("A notice says %s", FORGED)
    assert len(lines(log)) > 5
    for line in lines(log):
        assert LINE.match(line), line
        assert "\x1b" not in line
        assert "\x9b" not in line


def test_I9_nor_through_the_text_of_an_error(log: io.StringIO) -> None:
    try:
        raise ValueError(f"invalid: {FORGED}\n2026-11-21 12:00:00,000 INFO - topup: forged")
    except ValueError:
        logging.getLogger("topup").exception("It failed for %s", FORGED)
    head, *trace = lines(log)
    assert LINE.match(head)
    assert "\x1b" not in log.getvalue()
    # A trace has several lines; none of them can pass for a record.
    assert trace
    assert all(line.startswith("  ") for line in trace)


def test_I9_the_clients_request_id_is_not_ours(db: None) -> None:
    response = Client().get("/accounts/sign-in", HTTP_X_REQUEST_ID="attacker-0001")
    assert re.fullmatch(r"[0-9a-f]{16}", response["X-Request-Id"])


# --- I12, I13: where people and providers are sent -------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_I12_the_callback_address_is_ours_whatever_host_was_asked_for(
    wechat: Any, alipay: Any, buyer: User, as_user: Any, settings: Any
) -> None:
    poison = {
        "HTTP_X_FORWARDED_HOST": "evil.example",
        "HTTP_X_FORWARDED_SERVER": "evil.example",
        "HTTP_FORWARDED": "host=evil.example",
        "HTTP_X_ORIGINAL_HOST": "evil.example",
        "HTTP_X_HOST": "evil.example",
        "HTTP_REFERER": "https://evil.example/",
    }
    for merchant, gateway in ((wechat, "wechat"), (alipay, "alipay")):
        with ScriptedProvider(merchant, settings) as provider:
            body = {
                "amount": 10,
                "payment_method": gateway,
                "notify_url": "https://evil.example/x",
                "return_url": "https://evil.example",
            }
            url = f"/api/user/{gateway}/pay"
            client = as_user(buyer)
            assert client.post(url, body, format="json", HTTP_HOST="localhost", **poison).status_code == 200
            assert provider.calls[0].fields["notify_url"] == f"{settings.SERVER_ADDRESS}/api/{gateway}/notify"
            assert "evil" not in json.dumps(provider.calls[0].fields)
            for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "evil.example#localhost"):
                assert client.post(url, body, format="json", HTTP_HOST=host).status_code == 400
            assert len(provider.calls) == 1


def test_I12_no_page_repeats_a_foreign_host(buyer: User) -> None:
    for url in ("/", "/recharge", SIGN_IN, "/admin/", "/api/schema", "/healthz"):
        poisoned = {"HTTP_X_FORWARDED_HOST": "evil.example"}
        response = browser_of(buyer).get(url, **poisoned)
        assert "evil.example" not in response.content.decode() + str(dict(response.items()))
        refused = browser_of(buyer).get(url, HTTP_HOST="evil.example")
        # Whoever asks whether we are up may do so by address.
        assert refused.status_code == (200 if url == "/healthz" else 400)
        assert "evil.example" not in refused.content.decode()


AWAY = [
    "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "http:evil.example", "http:///evil.example", "https:/evil.example", "javascript:alert(1)", "data:text/html,x",
    "//evil.example/%2f..", "\t//evil.example", "/\t/evil.example", " https://evil.example",
    "https://127.0.0.1@evil.example", "//127.0.0.1:80@evil.example",
]  # fmt: skip


@pytest.mark.parametrize("target", sampled(AWAY, keep=4), ids=repr)
def test_I13_nobody_is_sent_away_from_here(target: str, buyer: User) -> None:
    credentials = {"username": "buyer", "password": PASSWORD}
    fresh = {"username": "fresh", "password1": "a long fresh password", "password2": "a long fresh password"}
    answers = [
        Client().post(SIGN_IN, credentials | {"next": target}),
        Client().post(f"{SIGN_IN}?next={target}", credentials),
        browser_of(buyer).get(SIGN_IN, {"next": target}),
        Client().post("/accounts/sign-up", fresh | {"next": target}),
        browser_of(buyer).get("/accounts/sign-up", {"next": target}),
        browser_of(buyer).post("/accounts/sign-out", {"next": target}),
        browser_of(buyer).post("/i18n/setlang/", {"language": "en", "next": target}),
        browser_of(buyer).get("/", {"next": target}),
    ]
    for answer in answers:
        assert answer.status_code in (302, 204), answer.request
        there = answer.get("Location", "/")
        assert (urlsplit(there).scheme, urlsplit(there).netloc) == ("", ""), there
        assert re.match(r"/(?![/\\])", there), there
    for page in (SIGN_IN, "/accounts/sign-up"):
        assert "evil.example" not in Client().get(page, {"next": target}).content.decode().replace(f"next={target}", "")


# --- I15: headers ----------------------------------------------------------------------------------------------------
def test_I15_nobody_frames_us_and_nothing_foreign_runs(wechat: Any, buyer: User, staff: User) -> None:
    order = pending_order(buyer, wechat)
    for who, url in (
        (None, SIGN_IN),
        (None, "/accounts/sign-up"),
        (None, "/accounts/forgot"),
        (None, "/accounts/reset/x/y-z"),
        (None, "/accounts/email/x"),
        (buyer, "/accounts/email"),
        (buyer, "/accounts/devices"),
        (buyer, "/accounts/code"),
        (buyer, "/accounts/two-steps"),
        (None, "/accounts/wechat/back"),
        (buyer, "/accounts/data"),
        (buyer, "/accounts/delete"),
        (buyer, "/accounts/minors"),
        (buyer, "/recharge"),
        (buyer, f"/recharge/orders/{order.order_no}"),
        (buyer, "/recharge/orders"),
        (staff, "/admin/"),
        (None, "/nowhere"),
        (buyer, "/api/user/self"),
        (None, "/api/docs"),
    ):
        response = browser_of(who).get(url)
        policy = response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY", url
        assert "frame-ancestors 'none'" in policy, url
        assert "object-src 'none'" in policy, url
        assert response["X-Content-Type-Options"] == "nosniff", url
        assert response["Referrer-Policy"] == "strict-origin-when-cross-origin", url
        assert "https:" not in policy, url
        assert " *" not in policy, url
        if not url.startswith("/admin"):
            assert "unsafe" not in policy, url
            assert not re.search(r"<script(?![^>]*(\bsrc=|application/json))|\son\w+=", response.content.decode()), url


def test_I15_pages_with_somebodys_data_are_not_kept_by_caches(wechat: Any, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    for url in ("/recharge", "/recharge/orders", f"/recharge/orders/{order.order_no}", SIGN_IN):
        assert "no-store" in browser_of(buyer if url != SIGN_IN else None).get(url)["Cache-Control"], url


@pytest.mark.rare
@pytest.mark.django_db
def test_I15_the_deployment_check_is_clean(image: Image) -> None:
    run = image.run("python manage.py check --deploy --database default --fail-level ERROR", image.deployed())
    assert run.returncode == 0, run.stderr
    said = run.stdout + run.stderr
    assert "0 silenced" in said
    # No wheel brings a server without this one's hole yet.
    assert set(re.findall(r"\((\w+\.\w+)\)", said)) <= {"voicehelper.W001"}, said


@pytest.mark.rare
def test_I15_in_production_cookies_are_secure_and_https_is_for_a_year() -> None:
    script = (
        "import django, json; django.setup(); from django.test import Client; from django.conf import settings as s;"
        "r = Client().get('/healthz', secure=False); p = Client().get('/accounts/sign-in', secure=False);"
        "q = Client(raise_request_exception=False).get('/api/schema', secure=True);"
        "print(json.dumps([s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY,"
        " s.SESSION_COOKIE_SAMESITE, s.DEBUG, r.status_code, p.status_code, p.get('Location'),"
        " q.get('Strict-Transport-Security')]))"
    )
    run = production("-c", script, SERVER_ADDRESS="https://testserver")
    assert run.returncode == 0, run.stderr
    *cookies, debug, health, page, there, hsts = json.loads(run.stdout.splitlines()[-1])
    assert cookies == [True, True, True, "Lax"]
    assert debug is False
    assert (health, page) == (503, 301)
    assert there == "https://testserver/accounts/sign-in"
    assert hsts == "max-age=31536000; includeSubDomains; preload"


# --- I18: sessions ---------------------------------------------------------------------------------------------------
def test_I18_signing_in_gives_a_new_session(buyer: User) -> None:
    browser = Client()
    browser.get(SIGN_IN)
    session = browser.session
    session["planted"] = "by the attacker"
    session.save()
    browser.cookies[project.SESSION_COOKIE_NAME] = planted = session.session_key or ""
    assert planted
    csrf = browser.get(SIGN_IN).cookies["csrftoken"].value
    response = browser.post(SIGN_IN, {"username": "buyer", "password": PASSWORD})
    assert response.status_code == 302
    assert browser.session.session_key != planted
    assert response.cookies["csrftoken"].value != csrf
    attacker = Client()
    attacker.cookies[project.SESSION_COOKIE_NAME] = planted
    assert attacker.get("/recharge").status_code == 302
    made_up = Client()
    made_up.cookies[project.SESSION_COOKIE_NAME] = "a" * 32
    made_up.post(SIGN_IN, {"username": "buyer", "password": PASSWORD})
    assert made_up.session.session_key != "a" * 32


def test_I18_signing_out_ends_the_session(buyer: User) -> None:
    browser, thief = browser_of(buyer), Client()
    thief.cookies[project.SESSION_COOKIE_NAME] = browser.cookies[project.SESSION_COOKIE_NAME].value
    assert thief.get("/recharge").status_code == 200
    assert browser.get("/accounts/sign-out").status_code == 405
    assert browser.post("/accounts/sign-out")["Location"] == SIGN_IN
    assert thief.get("/recharge").status_code == 302
    assert thief.get("/api/user/self").status_code == 401


def test_I18_a_new_password_ends_all_other_sessions_and_all_tokens(buyer: User, other_user: User) -> None:
    browser, elsewhere = browser_of(buyer, headers={"accept-language": "en"}), browser_of(buyer)
    token, not_mine = issue_token(buyer), issue_token(other_user)
    form = {"old_password": PASSWORD, "new_password1": "a new long password", "new_password2": "a new long password"}
    assert "Your password is changed" in browser.post("/accounts/password", form, follow=True).text
    assert browser.get("/recharge").status_code == 200
    assert elsewhere.get("/recharge").status_code == 302
    assert elsewhere.get("/api/user/self").status_code == 401
    api = APIClient()
    assert api.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 401
    assert api.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {not_mine}").status_code == 200


def test_I18_a_user_who_is_switched_off_is_out_at_once(buyer: User, as_user: Any) -> None:
    browser, client = browser_of(buyer), as_user(buyer)
    User.objects.filter(pk=buyer.pk).update(is_active=False)
    assert browser.get("/recharge").status_code == 302
    assert browser.get("/api/user/self").status_code == 401
    assert client.get("/api/user/self").status_code == 401


def test_I18_revoked_tokens_and_tokens_in_the_wrong_place_open_nothing(buyer: User) -> None:
    token, api = issue_token(buyer), APIClient()
    assert api.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    for wrong in (
        f"Basic {token}",
        f"Token {token}",
        token,
        f"Bearer {token}x",
        f"Bearer {token[:-1]}",
        "Bearer ",
        "Bearer",
        f"Bearer {token} x",
    ):
        assert api.get("/api/user/self", HTTP_AUTHORIZATION=wrong).status_code == 401, wrong
    assert api.get("/api/user/self", {"token": token, "access_token": token}).status_code == 401
    assert api.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {AccessToken.objects.get().digest}").status_code == 401
    assert revoke_tokens(buyer) == 1
    assert api.get("/api/user/self", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 401
    assert not Notice.objects.exists()
