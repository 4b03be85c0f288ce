"""Deleting an account: what is said before, what calls it off, and what is left of the person afterwards: nothing."""

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

from llm.models import ChatMessage, KeptResponse
from notifications.services import raise_alert
from notifications.texts import Text
from storage_backends.models import StoredFile
from storage_backends.services import store_file
from tests.accounts.conftest import Post, link_in
from tests.accounts.test_admin import tokens_form
from tests.llm.client import ApiClient
from tests.llm.conftest import World, world  # noqa: F401  # a fixture
from tests.merchants import WECHAT
from tests.operators import PASSWORD as OPERATORS
from tests.operators import browser_of
from tests.orders import pending_order
from tests.reading_back import traces
from tests.storage_backends.samples import PNG
from tests.wechat import WeChat
from topup.models import CodeBatch, GatewayCall, Notice, Order, Refund
from topup.services.redeeming import make_codes
from voicehelper import clock
from voicehelper.accounts import deleting, forgetting, second_factor, sessions
from voicehelper.accounts.models import AccountDeletion, LoggedChange, Passkey, User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.admin.base import change_url
from voicehelper.wallet.models import Entry, Wallet
from voicehelper.wallet.services import credit, wallet_of

DELETE, PASSWORD = "/accounts/delete", "a long buyer password"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def files_dir(settings: Any, tmp_path: Path) -> Path:
    settings.FILES_DIR = str(tmp_path / "files")
    return tmp_path / "files"


def ask(user: User, **form: str) -> Any:
    return browser_of(user).post(DELETE, {"password": PASSWORD} | form)


def make_due(user: User) -> AccountDeletion:
    AccountDeletion.objects.filter(user=user).update(due=clock.now() - timedelta(seconds=1))
    return AccountDeletion.objects.get(user=user)


# --- Everything of a person ------------------------------------------------------------------------------------------
NAME, EMAIL, SECRET_TALK = "lihua.1988", "li.hua@example.com", "my landlord is called Wang Gui"
OPENID, FILE_NAME, KEY_NAME = "oUpF8uMEb4qRXf22hE3X68TekukE", "passport of li hua.png", "laptop of li hua"
NEW_EMAIL, DIARY, PASSKEY = "li.hua.2@example.org", "diary of li hua.txt", "phone of li hua"
FORMER = "plumtree_before"


def sign_up(post: Post) -> User:
    form = {"username": NAME, "password1": "plum-tree-93-lake", "password2": "plum-tree-93-lake", "new_email": EMAIL}
    assert Client().post("/accounts/sign-up", form).status_code == 302
    (mail,) = post.arrived()
    assert Client().post(link_in(mail)).status_code == 302
    user = User.objects.get(username=NAME)
    assert user.email == EMAIL
    return user


def recharge(user: User) -> Order:
    WECHAT.configure()
    order = pending_order(user, WECHAT, openid=OPENID, client_ip="198.51.100.7", idempotency_key=f"{NAME}-1")
    answer = Client().post("/api/wechat/notify", WECHAT.notice(order), content_type="text/xml")
    assert b"SUCCESS" in answer.content
    facts = {"gateway": "wechat", "operation": "create", "order_no": order.order_no, "outcome": "ok", "elapsed_ms": 5}
    GatewayCall.objects.create(request=f"<xml><openid>{OPENID}</openid></xml>", response="{}", **facts)
    return Order.objects.get(pk=order.pk)


def talk(user: User, world: World) -> None:  # noqa: F811
    by_token, by_key = ApiClient(issue_token(user)), ApiClient(create_api_key(user, KEY_NAME)[1])
    diary = store_file(user, DIARY, io.BytesIO(f"I am {NAME}".encode())).key

    async def scenario(_world: World) -> list[int]:
        question = {"content": SECRET_TALK, "model": "doubao-pro", "attachments": [diary]}
        asked = {"model": "doubao-pro", "input": SECRET_TALK, "max_output_tokens": 100}
        answers = await by_token.post("/api/chat/message", question), await by_key.post("/v1/responses", asked)
        return [answer.status for answer in answers]

    assert world.play(scenario) == [200, 200]
    assert ChatMessage.objects.get(role="user").attachments[0]["name"] == DIARY


def told_and_changed_by_operators(user: User, operator: User) -> None:
    """Alerts that name the person, and another address, written on the admin's page."""
    raise_alert("quota_adjusted", title=f"{NAME}: +5 quota by hand", content=f"For {EMAIL}, openid {OPENID}", key="x")
    title = Text("%(user)s: the password was guessed at", user=NAME)
    content = [Text("Told: %(addresses)s", addresses=[EMAIL, NEW_EMAIL])]
    raise_alert("quota_adjusted", title=title, content=content, key=f"guessed:{NAME}", about=user)
    form = {"username": NAME, "email": NEW_EMAIL, "group": "default", "is_active": "on"} | tokens_form()
    assert browser_of(operator).post(change_url(user), form).status_code == 302
    assert [EMAIL, NEW_EMAIL] in [[line["old"], line["new"]] for line in LoggedChange.objects.latest("pk").values]
    LogEntry.objects.log_actions(operator.pk, User.objects.filter(pk=user.pk), 2, f"Email → {EMAIL}")
    # Of the time before the log kept values, and of another record.
    old = {"user": operator, "action_flag": 2, "change_message": "Changed.", "action_time": clock.now()}
    of_users = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(content_type=of_users, object_id=str(user.pk), object_repr=FORMER, **old)
    LogEntry.objects.create(content_type=None, object_id="1", object_repr=f"{FORMER}: 500", **old)


def fill(user: User, wechat: WeChat, world: World) -> None:  # noqa: F811
    """Whatever somebody can leave behind here."""
    api = APIClient(headers={"Authorization": f"Bearer {issue_token(user)}"})
    bind = {"code": wechat.code("lihua"), "password": "plum-tree-93-lake"}
    assert api.post("/api/auth/wx-bind", bind, format="json").status_code == 200
    recharge(user)
    batch = make_codes(CodeBatch(name="spring", quota=5_000, count=1), by="operator")
    assert api.post("/api/user/topup", {"key": batch.codes.get().text.reveal()}, format="json").status_code == 200
    talk(user, world)
    upload = {"file": SimpleUploadedFile(FILE_NAME, PNG + NAME.encode()), "fileName": FILE_NAME}
    assert api.post("/api/files/upload", upload).status_code == 200
    assert api.post("/api/share").status_code == 200
    browser = Client(headers={"accept-language": "en", "user-agent": f"Browser of {NAME}"})
    browser.post("/accounts/sign-in", {"username": NAME, "password": "plum-tree-93-lake"})
    browser.get("/accounts/devices")
    second_factor.begin(user)
    Passkey.objects.create(user=user, credential_id=b"c", public_key=b"k", user_handle=b"h", name=PASSKEY)
    told_and_changed_by_operators(user, User.objects.get(username="operator"))


@pytest.mark.django_db(transaction=True)
def test_a_person_with_everything_leaves_no_trace_and_the_books_agree(
    wechat: WeChat,
    world: World,  # noqa: F811
    post: Post,
    files_dir: Path,
    staff: User,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    books_agree: Callable[[], None],
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver", "localhost"]
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    user = sign_up(post)
    fill(user, wechat, world)
    identity = user.wechat_identities.get()
    needles = [NAME, EMAIL, OPENID, identity.openid, identity.unionid, SECRET_TALK, FILE_NAME, KEY_NAME, "198.51.100.7"]
    needles += [NEW_EMAIL, DIARY, PASSKEY, FORMER]
    before = traces(needles, files_dir)
    # All of it is really there, or its absence afterwards would prove nothing.
    assert all(any(found.endswith(f": {each}") for found in before) for each in needles), before
    assert ChatMessage.objects.exists()
    assert KeptResponse.objects.exists()
    entries, spent = Entry.objects.filter(wallet__user=user).count(), wallet_of(user).used
    assert spent

    deleting.ask(user, gives_up_balance=True)
    make_due(user)
    assert deleting.carry_out_due() == 1

    assert traces(needles, files_dir) == set()
    assert not StoredFile.objects.exists()
    gone = User.objects.get(pk=user.pk)
    assert (gone.username, gone.is_active, gone.has_usable_password()) == (f"deleted#{user.pk}", False, False)
    # The books: what was paid, spent and given up is there, and adds up.
    assert Entry.objects.filter(wallet__user=gone).count() == entries + 1
    assert (Wallet.objects.get(user=gone).balance, Wallet.objects.get(user=gone).used) == (0, spent)
    order = Order.objects.get(user=gone)
    assert (order.state, bool(order.transaction_id)) == ("paid", True)
    assert Notice.objects.filter(order=order).exists()
    books_agree()
    assert deleting.carry_out_due() == 0


@pytest.mark.django_db
def test_what_was_killed_half_way_is_finished_by_the_next_run(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    create_api_key(buyer, KEY_NAME)
    raise_alert("quota_adjusted", title="buyer: +5 quota by hand", key="x")
    deleting.ask(buyer, gives_up_balance=False)
    make_due(buyer)
    for line in ("_end_sessions", "_delete_what_is_theirs"):
        with monkeypatch.context() as patch:
            patch.setattr(forgetting, line, lambda _person: 1 / 0)
            with pytest.raises(RuntimeError):
                deleting.carry_out_due()
    buyer.refresh_from_db()
    assert (buyer.username, buyer.is_active) == ("buyer", False)
    # It has begun: nobody gets in any more, and nobody calls it off.
    assert not deleting.call_off(buyer)
    assert deleting.carry_out_due() == 1
    assert not buyer.api_keys.exists()
    assert traces(["buyer", KEY_NAME], Path("/nowhere")) == set()


# --- Asking, and calling it off --------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_whoever_asks_is_told_what_is_lost_and_signed_out_everywhere(buyer: User, post: Post) -> None:
    User.objects.filter(pk=buyer.pk).update(email="buyer@example.com", email_verified_at=clock.now())
    credit(buyer, 500_000, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    other, token = browser_of(buyer), issue_token(buyer)
    page = other.get(DELETE).text
    assert "your balance of 500,000" in page

    assert "Tick this to go on" in ask(buyer).text
    assert "This is not your password" in ask(buyer, password="wrong", gives_up="on").text
    assert not AccountDeletion.objects.exists()
    browser = browser_of(buyer)
    answer = browser.post(DELETE, {"password": PASSWORD, "gives_up": "on"}, follow=True)
    assert "Your account will be deleted on" in answer.text
    for each in (browser, other):
        assert each.get("/accounts/password").status_code == 302
    assert APIClient(headers={"Authorization": f"Bearer {token}"}).get("/api/user/self").status_code == 401
    assert "will be deleted" in post.arrived()[0].subject
    # A week is a week.
    assert deleting.carry_out_due() == 0
    assert AccountDeletion.objects.get().due > clock.now() + timedelta(days=6, hours=23)


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["page", "api"])
def test_signing_in_keeps_the_account(buyer: User, way: str) -> None:
    deleting.ask(buyer, gives_up_balance=False)
    if way == "page":
        browser = Client(headers={"accept-language": "en"})
        form = {"username": "buyer", "password": PASSWORD}
        assert "your account is not deleted" in browser.post("/accounts/sign-in", form, follow=True).text
    else:
        form = {"username": "buyer", "password": PASSWORD}
        assert APIClient().post("/api/auth/login", form, format="json").status_code == 200
    buyer.refresh_from_db()
    assert buyer.leaving_at is None
    assert not AccountDeletion.objects.exists()
    assert deleting.carry_out_due() == 0


@pytest.mark.django_db
def test_a_password_without_the_second_step_keeps_nothing(buyer: User) -> None:
    factor = second_factor.begin(buyer)
    type(factor).objects.filter(pk=factor.pk).update(confirmed_at=clock.now())
    deleting.ask(buyer, gives_up_balance=False)
    browser = Client(headers={"accept-language": "en"})
    browser.post("/accounts/sign-in", {"username": "buyer", "password": PASSWORD}, follow=True)
    assert AccountDeletion.objects.exists()


@pytest.mark.django_db
def test_an_order_under_way_or_an_open_refund_keeps_the_account(buyer: User, wechat: Any) -> None:
    WECHAT.configure()
    order = pending_order(buyer, WECHAT)
    assert "You have an order that can still be paid" in browser_of(buyer).get(DELETE).text
    ask(buyer)
    assert not AccountDeletion.objects.exists()
    Order.objects.filter(pk=order.pk).update(state="closed")
    deleting.ask(buyer, gives_up_balance=False)
    # What began since is waited for, and said.
    Order.objects.filter(pk=order.pk).update(state="pending")
    deletion = make_due(buyer)
    assert deleting.carry_out_due() == 0
    deletion.refresh_from_db()
    assert "can still be paid" in deletion.waits_for
    Order.objects.filter(pk=order.pk).update(state="closed")
    Refund.objects.create(
        order=order, number=1, ref="r1", refund_no="r1", amount_fen=1, quota_due=0, quota=0, requested_by="operator"
    )
    assert "A refund of yours is under way" in deleting.losses_of(buyer).obstacles[0]


@pytest.mark.django_db
def test_operators_do_not_delete_themselves(staff: User) -> None:
    with pytest.raises(deleting.DeletionRefused):
        deleting.ask(staff, gives_up_balance=True)


@pytest.mark.django_db
def test_the_ledger_names_who_spends_by_number(buyer: User) -> None:
    """Entries stay as they are for ever: a name in one could never be taken out."""
    batch = make_codes(CodeBatch(name="spring", quota=5_000, count=1), by="operator")
    code = batch.codes.get().text.reveal()
    from topup.services.redeeming import redeem

    redeem(buyer, code)
    assert Entry.objects.get().actor == f"user:{buyer.pk}"


# --- Operators -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_an_operator_deletes_for_a_user_with_reason_and_password_and_sees_it_pending(
    browser: Client, buyer: User
) -> None:
    page = f"/admin/accounts/user/{buyer.pk}/do/delete_account/"
    browser.post(page, {"reason": "He wrote to us", "current_password": "wrong"})
    assert not AccountDeletion.objects.exists()
    browser.post(page, {"reason": "He wrote to us", "current_password": OPERATORS})
    deletion = AccountDeletion.objects.get()
    assert (deletion.asked_by, deletion.reason) == ("operator", "He wrote to us")
    assert "He wrote to us" in browser.get(f"/admin/accounts/accountdeletion/{deletion.pk}/change/").text
    assert "buyer" in browser.get("/admin/accounts/accountdeletion/").text
    browser.post(f"/admin/accounts/accountdeletion/{deletion.pk}/do/keep_account/", {"reason": "He changed his mind"})
    assert not AccountDeletion.objects.exists()


@pytest.mark.django_db
def test_sessions_that_are_over_are_deleted_and_others_are_not(buyer: User) -> None:
    alive, over = browser_of(buyer), browser_of(buyer)
    Session.objects.filter(pk=over.session.session_key).update(expire_date=clock.now() - timedelta(seconds=1))
    assert sessions.forget_ended() == 1
    assert Session.objects.get().pk == alive.session.session_key


@pytest.mark.django_db
def test_a_name_is_taken_out_where_it_stands_by_itself(buyer: User) -> None:
    person = forgetting.person_of(buyer)
    assert person.unnamed("buyer, the buyer's buyers: buyer@x buyer.") == (
        f"deleted#{buyer.pk}, the deleted#{buyer.pk}'s buyers: buyer@x deleted#{buyer.pk}."
    )
