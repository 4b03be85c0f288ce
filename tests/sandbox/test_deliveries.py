"""Notices over real HTTP: at once, again until acknowledged, never twice at a time, never off this machine."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from sandbox import alipay as alipay_protocol
from sandbox import deliveries
from sandbox import wechat as wechat_protocol
from sandbox.models import Delivery
from sandbox.tasks import deliver
from tests.far_side import FarSide, http

from .clients import WECHAT_OK, AlipayClient, MerchantServer, WeChatClient


def make_due(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(next_try_at=timezone.now())


def eventually(what: Any, seconds: float = 5) -> None:
    """Wait until it is true."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never became true"
        time.sleep(0.02)


def test_the_schedules_are_the_published_ones() -> None:
    assert sum(wechat_protocol.SCHEDULE) == (24 * 60 + 4) * 60
    assert len(alipay_protocol.SCHEDULE) == 7
    assert sum(alipay_protocol.SCHEDULE) == (4 + 10 + 10 + 60 + 120 + 360 + 900) * 60


@pytest.mark.django_db
def test_a_notice_is_sent_until_it_is_acknowledged(wechat: WeChatClient, phone: Any, listen: Any) -> None:
    replies = [(500, WECHAT_OK), (200, "<xml><return_code>FAIL</return_code></xml>"), (302, ""), (200, WECHAT_OK)]
    server: MerchantServer = listen(reply=lambda n: replies[n])
    phone("pay", wechat.create(notify_url=server.url)["code_url"])
    delivery = Delivery.objects.get()
    for tries, wait in enumerate(wechat_protocol.SCHEDULE[:3], start=1):
        assert deliver() == 1
        delivery.refresh_from_db()
        assert (delivery.tries, delivery.acknowledged_at) == (tries, None)
        assert delivery.next_try_at
        assert abs((delivery.next_try_at - timezone.now()).total_seconds() - wait) < 5
        assert deliver() == 0
        make_due(delivery)
    assert deliver() == 1
    delivery.refresh_from_db()
    assert delivery.acknowledged_at
    assert delivery.next_try_at is None
    assert len(set(server.got)) == 1
    assert set(server.paths) == {"/notify"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "enough"), [("success", True), ("success\n", False), ("SUCCESS", False), ("", False)]
)
def test_alipay_wants_exactly_one_word(
    alipay: AlipayClient, phone: Any, listen: Any, answer: str, enough: bool
) -> None:
    server: MerchantServer = listen(reply=lambda _n: (200, answer))
    order = alipay.call("precreate", alipay.order(), notify_url=server.url)
    phone("pay", order["qr_code"])
    deliver()
    assert bool(Delivery.objects.get().acknowledged_at) == enough


@pytest.mark.django_db
def test_a_trade_without_notify_url_gets_no_notice(alipay: AlipayClient, phone: Any) -> None:
    assert phone("pay", alipay.call("precreate", alipay.order())["qr_code"]).status_code == 200
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_a_dropped_notice_is_sent_only_by_hand(wechat: WeChatClient, phone: Any, listen: Any, client: Any) -> None:
    server: MerchantServer = listen()
    phone("pay", wechat.create(notify_url=server.url)["code_url"], fault="drop")
    delivery = Delivery.objects.get()
    assert deliver() == 0
    assert server.got == []
    assert client.post(f"/sandbox/deliveries/{delivery.pk}/send").status_code == 302
    assert deliver() == 1
    assert len(server.got) == 1


@pytest.mark.django_db
def test_duplicates_are_identical_and_come_at_the_same_time(
    wechat: WeChatClient, phone: Any, listen: Any, script: Any
) -> None:
    barrier = threading.Barrier(5)

    def reply(_n: int) -> tuple[int, str]:
        barrier.wait(5)
        return 200, WECHAT_OK

    server: MerchantServer = listen(reply=reply)
    script(gateway="wechat", fault="duplicate", copies=5)
    phone("pay", wechat.create(notify_url=server.url)["code_url"])
    deliver()
    assert (len(server.got), len(set(server.got))) == (5, 1)
    assert Delivery.objects.get().last_answer.startswith("5/5")


@pytest.mark.django_db
def test_a_late_notice_waits(wechat: WeChatClient, phone: Any) -> None:
    phone("pay", wechat.create()["code_url"], fault="delay", seconds=60)
    assert deliver() == 0
    delivery = Delivery.objects.get()
    assert delivery.next_try_at
    assert timedelta(seconds=50) < delivery.next_try_at - timezone.now() <= timedelta(seconds=60)


@pytest.mark.django_db
def test_a_hurried_notice_is_sent_again_soon(wechat: WeChatClient, phone: Any, script: Any, listen: Any) -> None:
    server: MerchantServer = listen(reply=lambda n: (200, WECHAT_OK if n == 3 else "no"))
    script(gateway="wechat", fault="hurry", seconds=0)
    phone("pay", wechat.create(notify_url=server.url)["code_url"])
    assert deliver() == 4


@pytest.mark.django_db
def test_a_merchant_who_dies_in_the_middle_of_his_answer_has_not_acknowledged(wechat: WeChatClient, phone: Any) -> None:
    with FarSide(answer=lambda _seen: http(b"<xml>", length=70)) as merchant:
        phone("pay", wechat.create(notify_url=f"{merchant.url}/notify")["code_url"])
        assert deliver() == 1
    delivery = Delivery.objects.get()
    assert (delivery.tries, delivery.acknowledged_at) == (1, None)
    assert delivery.next_try_at
    assert delivery.last_answer.startswith("no answer")


@pytest.mark.django_db
def test_the_limit_is_kept(wechat: WeChatClient, phone: Any) -> None:
    for _ in range(3):
        phone("pay", wechat.create()["code_url"])
    assert [deliver(limit=2), deliver(limit=2)] == [2, 1]


@pytest.mark.django_db
def test_nothing_is_sent_to_another_machine(wechat: WeChatClient, phone: Any) -> None:
    phone("pay", wechat.create()["code_url"])
    Delivery.objects.update(url="http://192.0.2.1/notify")
    deliver()
    assert "loopback" in Delivery.objects.get().last_answer


@pytest.mark.django_db(transaction=True)
def test_the_first_try_comes_by_itself_right_after_paying(wechat: WeChatClient, phone: Any, listen: Any) -> None:
    server: MerchantServer = listen()
    phone("pay", wechat.create(notify_url=server.url)["code_url"])
    eventually(lambda: Delivery.objects.filter(acknowledged_at__isnull=False, tries=1).exists())
    assert len(server.got) == 1
    eventually(lambda: threading.active_count() < 20)


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_send_the_same_notice(wechat: WeChatClient, phone: Any, listen: Any) -> None:
    def slowly(_n: int) -> tuple[int, str]:
        time.sleep(0.3)
        return 200, WECHAT_OK

    server: MerchantServer = listen(reply=slowly)
    phone("pay", wechat.create(notify_url=server.url)["code_url"], fault="delay", seconds=3600)
    make_due(Delivery.objects.get())
    pk = Delivery.objects.get().pk
    workers = [threading.Thread(target=deliveries._send_and_hang_up, args=[pk]) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(server.got) == 1
