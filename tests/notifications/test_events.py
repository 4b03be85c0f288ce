"""The events of the product: each has a level and a name, and rules can be made for it."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from notifications.channels import _BUILDERS
from notifications.events import EVENTS, label_of
from notifications.forms import FORMS
from notifications.models import Alert, Level, kinds
from notifications.services import raise_alert
from notifications.transports import TRANSPORTS
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from tests.test_imports import modules
from topup import services
from topup.gateways.base import GatewayError
from voicehelper.accounts.models import User


def raised() -> Iterator[str]:
    """Every event that the code raises by name."""
    for _name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called in ("raise_alert", "alert"):
                    yield str(node.args[0].value)


def test_every_event_that_is_raised_is_listed() -> None:
    found = set(raised())
    assert {"forged_notice", "audit_failed", "provider_circuit_open", "job_missed"} <= found
    assert found <= set(EVENTS)


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
