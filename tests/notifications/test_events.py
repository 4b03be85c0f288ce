"""The events of the product: each has a level and a name, and rules can be made for it."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from notifications.admin.forms import FORMS
from notifications.channels import _BUILDERS
from notifications.events import EVENTS, label_of
from notifications.models import Alert, Level, kinds
from notifications.services import raise_alert
from notifications.transports import TRANSPORTS
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from tests.test_imports import modules
from topup import services
from topup.gateways.errors import GatewayError
from topup.models.sections import AlipaySettings, WeChatSettings
from topup.services.gateways import UNREACHABLE_AFTER, report_reachable
from voicehelper.accounts.models import User


def raised() -> Iterator[str]:
    """Every event that the code raises by name."""
    for _name, path in modules():
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "alert(" in text else ():
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called in ("raise_alert", "alert"):
                    yield str(node.args[0].value)


def test_every_event_that_is_raised_is_listed_and_every_one_that_is_listed_is_raised() -> None:
    assert set(raised()) == set(EVENTS)


def test_every_kind_of_channel_is_complete() -> None:
    assert set(dict(kinds())) == set(TRANSPORTS) == set(FORMS) == set(_BUILDERS)


def test_every_event_has_a_level_and_a_name() -> None:
    assert all(event.level in Level.values and str(event.label) for event in EVENTS.values())
    assert label_of("something_new") == "something_new"


@pytest.mark.django_db
def test_an_event_has_its_own_level_unless_the_caller_says_another() -> None:
    raise_alert("late_payment", title="T")
    raise_alert("late_payment", title="U", level="critical")
    assert list(Alert.objects.order_by("pk").values_list("level", flat=True)) == ["info", "critical"]


@pytest.mark.django_db
def test_what_no_column_can_hold_is_shortened_and_not_lost() -> None:
    raise_alert("e" * 90, title="t" * 900 + "\0", content="c\0" * 9000, key="k" * 900)
    alert = Alert.objects.get()
    assert (len(alert.event), len(alert.title), len(alert.content), len(alert.key)) == (40, 200, 4000, 200)


@pytest.mark.django_db(transaction=True)
def test_a_gateway_that_does_not_answer_five_times_is_an_alert(
    buyer: User, wechat: WeChatMerchant, settings: Any
) -> None:
    order = pending_order(buyer, wechat)
    gateway = services.open_gateway("wechat")
    for number in range(1, 7):
        with pytest.raises(GatewayError):
            gateway.query(order.order_no)
        assert Alert.objects.filter(event="gateway_unreachable").exists() == (number >= 5)
    assert Alert.objects.get().count == 2


@pytest.mark.django_db(transaction=True)
def test_two_gateways_that_do_not_answer_are_two_alerts_and_one_of_them_back_ends_its_own(
    buyer: User, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    orders = [pending_order(buyer, merchant) for merchant in (wechat, alipay)]
    for number in range(1, UNREACHABLE_AFTER + 1):
        for order in orders:
            with pytest.raises(GatewayError):
                services.open_gateway(order.gateway).query(order.order_no)
        # What the other one did is no reason to think ill of this one.
        assert Alert.objects.count() == (2 if number == UNREACHABLE_AFTER else 0)
    titles = set(Alert.objects.values_list("event", "title"))
    assert titles == {("gateway_unreachable", f"{name}没有响应") for name in ("微信支付", "支付宝")}
    report_reachable("wechat")
    assert list(Alert.objects.filter(resolved_at=None).values_list("title", flat=True)) == ["支付宝没有响应"]


@pytest.mark.django_db(transaction=True)
def test_two_gateways_that_are_on_and_cannot_work_are_two_alerts(
    wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    WeChatSettings.objects.update(mch_id="")
    AlipaySettings.objects.update(seller_id="")
    for name in ("wechat", "alipay"):
        with pytest.raises(services.GatewayOff):
            services.open_gateway(name)
    assert Alert.objects.filter(event="gateway_not_ready").count() == 2


@pytest.mark.django_db(transaction=True)
def test_notices_forged_at_two_gateways_are_two_alerts(
    buyer: User, wechat: WeChatMerchant, alipay: AlipayMerchant, provider: Client
) -> None:
    order = pending_order(buyer, wechat)
    body = wechat.notice(order).replace(b"7300", b"1")
    provider.post("/api/wechat/notify", body, content_type="text/xml")
    order = pending_order(buyer, alipay)
    body = alipay.notice(order).replace(b"73.00", b"0.01")
    provider.post("/api/alipay/notify", body, content_type="application/x-www-form-urlencoded")
    assert Alert.objects.filter(event="forged_notice").count() == 2
