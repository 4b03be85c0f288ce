"""Rows that are read and written without the ORM are as the ORM has them."""

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models.functions import Now

from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from topup.models import GatewayCall, MerchantAccount, Notice, Order
from topup.models.sections.wechat import WeChatSettings
from voicehelper import rows
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db


def values(row: models.Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.parametrize("model", [Order, MerchantAccount, WeChatSettings, User])
def test_a_row_is_read_as_the_orm_reads_it(model: type[models.Model], wechat: WeChatMerchant, buyer: User) -> None:
    pending_order(buyer, wechat)
    theirs = model._default_manager.order_by("pk")[0]
    found = rows.first(model, "ORDER BY id", [], also="id + 1")
    assert found is not None
    row, more = found
    assert isinstance(row, model)
    assert values(row) == values(theirs)
    assert more == theirs.pk + 1
    assert not row._state.adding
    assert rows.first(model, "WHERE id = %s", [0]) is None


@pytest.mark.parametrize("model", [Order, Notice, GatewayCall])
def test_a_row_is_written_as_the_orm_writes_it(model: type[models.Model], wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    notice = Notice(gateway="wechat", source="203.0.113.9", body="<xml/>", headers={"a": "b"}, order=order)
    call = GatewayCall(gateway="wechat", operation="query", request="", response="", outcome="ok", elapsed_ms=1)
    another = Order(**{**values(order), "id": None, "order_no": Order.new_number(order.created)})
    row = next(each for each in (another, notice, call) if isinstance(each, model))
    rows.insert(row)
    assert row.pk
    assert not row._state.adding
    assert values(row) == values(model._default_manager.get(pk=row.pk))
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(row)


def test_a_row_is_changed_only_as_it_was_read(wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    assert not rows.change(Order, {"id": order.pk, "state": "created"}, failure="no")
    assert rows.change(Order, {"id": order.pk, "state": "pending"}, failure="so", closed_at=Now(), next_ask_at=None)
    order.refresh_from_db()
    assert (order.failure, order.next_ask_at) == ("so", None)
    assert order.closed_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_session_that_the_server_ended_is_known_without_asking() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
    assert connection.is_usable()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
    other.close()
    assert not connection.is_usable()
    # As at the end of a request.
    connection.close_if_unusable_or_obsolete()
    connection.close()
    assert User.objects.count() == 0
