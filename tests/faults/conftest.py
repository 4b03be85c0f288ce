"""What the tests of faults share: both gateways, a scripted provider, threads that start together."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client

from notifications.models import Alert
from tests.conftest import rarely
from tests.llm.conftest import _hang_up, world  # noqa: F401  # fixtures
from topup.models import Notice, Order
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

from .console_refunds import shop  # noqa: F401  # fixture
from .scripted import Merchant, ScriptedProvider, gateway_of
from .workers import _workers, operator, workers  # noqa: F401  # fixtures


@pytest.fixture(params=["wechat", *rarely("alipay")])
def merchant(request: pytest.FixtureRequest) -> Merchant:
    """Each gateway in turn, switched on."""
    found: Merchant = request.getfixturevalue(request.param)
    return found


@dataclass
class CallbackDesk:
    """Delivers a merchant's notices to us as its provider does, and reads our answer as the provider would."""

    merchant: Merchant
    client: Client

    def deliver(self, body: bytes, **more: Any) -> Any:
        kind = "text/xml" if gateway_of(self.merchant) == "wechat" else "application/x-www-form-urlencoded"
        # Said twice, because Django's client leaves it out of a request without a body.
        more |= {"CONTENT_TYPE": kind}
        return self.client.post(f"/api/{gateway_of(self.merchant)}/notify", body, content_type=kind, **more)

    def acknowledged(self, body: bytes) -> bool:
        """Whether the provider would stop sending. The answer is always in its dialect."""
        response = self.deliver(body)
        assert response.status_code == 200, response.content
        if gateway_of(self.merchant) == "alipay":
            assert response.content in (b"success", b"fail")
            return bool(response.content == b"success")
        answer = {element.tag: element.text for element in ElementTree.fromstring(response.content)}
        assert answer["return_code"] in ("SUCCESS", "FAIL")
        return answer["return_code"] == "SUCCESS"


@pytest.fixture
def desk(merchant: Merchant, provider: Client) -> CallbackDesk:
    return CallbackDesk(merchant, provider)


@pytest.fixture
def scripted(merchant: Merchant, settings: Any) -> Iterator[ScriptedProvider]:
    """The merchant's provider, over real HTTP; use it with `transaction=True`: it looks into the database."""
    with ScriptedProvider(merchant, settings) as provider:
        yield provider


def not_credited(order: Order, state: Order.State = Order.State.PENDING) -> None:
    """Nothing of the payment has arrived anywhere."""
    order.refresh_from_db()
    assert (order.state, order.transaction_id, order.credited_at) == (state, None, None)
    assert not Entry.objects.filter(ref=order.order_no).exists()


def credited_once(order: Order) -> None:
    order.refresh_from_db()
    assert order.state == Order.State.PAID
    assert [entry.amount for entry in Entry.objects.filter(ref=order.order_no)] == [order.quota]
    assert order.review == ""


def balance(user: User) -> int:
    return wallet_of(user).balance


def alert(event: str) -> Alert:
    """The one open alert of this kind."""
    return Alert.objects.get(event=event, resolved_at=None)


def last_notice() -> Notice:
    return Notice.objects.latest("pk")


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run every act in a thread of its own, all from the same moment; what they return, or the first error."""
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            results[number] = act()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results
