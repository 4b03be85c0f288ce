"""Redemption codes: worth their quota once, to one user, until their time is over."""

import csv
import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from tests.conftest import sampled
from tests.faults.conftest import at_once
from tests.operators import browser_of, clerk
from topup import services
from topup.models import CodeBatch, RedemptionCode
from topup.models.codes import ALPHABET, plain, shown
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of


def batch(count: int = 1, **changes: Any) -> CodeBatch:
    return services.make_codes(CodeBatch(name="Spring", quota=500_000, count=count, **changes), by="operator")


def texts(of: CodeBatch) -> list[str]:
    return [text for text, _ in services.texts_of(of)]


@pytest.mark.django_db
def test_a_code_is_worth_its_quota_once(buyer: User, other_user: User, books_agree: Callable[[], None]) -> None:
    (text,) = texts(batch())
    assert services.redeem(buyer, text) == 500_000
    with pytest.raises(services.CodeUsed) as mine:
        services.redeem(buyer, text)
    with pytest.raises(services.CodeUsed) as theirs:
        services.redeem(other_user, text)
    assert (mine.value.mine, theirs.value.mine) == (True, False)
    assert wallet_of(buyer).balance == 500_000
    assert wallet_of(other_user).balance == 0
    books_agree()


@pytest.mark.django_db(transaction=True)
def test_however_many_try_at_once_one_gets_it(books_agree: Callable[[], None]) -> None:
    users = [User.objects.create_user(f"user{number}") for number in range(20)]
    (text,) = texts(batch())
    start, won, lost = threading.Barrier(20), [], []

    def run(user: User) -> None:
        try:
            start.wait(20)
            won.append(services.redeem(user, text))
        except services.CodeUsed:
            lost.append(user)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (won, len(lost)) == ([500_000], 19)
    assert Entry.objects.count() == 1
    books_agree()


@pytest.mark.django_db
def test_what_is_revoked_expired_or_invented_credits_nothing(buyer: User) -> None:
    (revoked,), (expired,) = texts(gone := batch()), texts(batch(expires_at=clock.now() - timedelta(seconds=1)))
    assert services.revoke_batch(gone)
    assert not services.revoke_batch(gone)
    for text, error in {revoked: services.CodeInvalid, expired: services.CodeExpired}.items():
        with pytest.raises(error):
            services.redeem(buyer, text)
    for text in ("", "0000-0000-0000-0000", "x" * 64, "' OR 1=1 --", "\x00" * 16, "Ⅷ" * 16):
        with pytest.raises(services.CodeInvalid):
            services.redeem(buyer, text)
    assert wallet_of(buyer).balance == 0
    assert not RedemptionCode.objects.filter(redeemed_at__isnull=False).exists()


@pytest.mark.parametrize(
    "typed", ["0123-4567-89ab-cdef", " 0i23 4567-89AB-CDEF", "O123456789ABCDEF", "0l23-4567-89ab-cdef"]
)
def test_a_code_is_read_as_people_type_it(typed: str) -> None:
    assert plain(typed) == "0123456789ABCDEF"
    assert shown(plain(typed)) == "0123-4567-89AB-CDEF"


TYPED = {
    "K04 full-width letters": "０１２３４５６７８９ＡＢＣＤＥＦ",
    "K05 full-width, small, with a full-width dash": "０１２３－４５６７－８９ａｂ－ｃｄｅｆ",
    "K06 en dashes": "0123–4567–89AB–CDEF",
    "K07 em dashes": "0123—4567—89AB—CDEF",
    "K08 non-breaking hyphens": "0123‑4567‑89AB‑CDEF",
    "K09 minus signs": "0123−4567−89AB−CDEF",
    "K10 no-break spaces": "0123\u00a04567\u00a089AB\u00a0CDEF",
    "K11 ideographic spaces": "\u30000123\u30004567\u300089AB\u3000CDEF\u3000",
    "K12 zero-width spaces": "0123\u200b-4567\u200b-89AB-CDEF\u200b",
    "K13 a byte order mark": "\ufeff0123-4567-89AB-CDEF",
    "K14 quotes": "“0123-4567-89AB-CDEF”",
    "K15 a label": "兑换码：0123-4567-89AB-CDEF",
    "K16 a full stop": "0123-4567-89AB-CDEF。",
    "K17 line breaks": "0123-4567-\r\n89AB-CDEF\n",
    "K18 dots": "0123.4567·89AB•CDEF",
    "K18 soft hyphens and joiners": "01\u00ad23\u20604567\u200d89AB\u200eCDEF",
    "K18 brackets and a comma": "【0123】【4567】【89AB】【CDEF】，",
    "K18 a label in English": "Redemption code: 0123-4567-89AB-CDEF",
    "K18 colons between": "0123:4567:89AB:CDEF",
    "K18 a sentence": "您的兑换码是 0123-4567-89AB-CDEF，请尽快使用！",
    "K18 a label without a colon": "Code 0123-4567-89AB-CDEF",
    "K18 a validity behind it": "兑换码：0123-4567-89AB-CDEF，有效期：2026-12-31 23:59",
    "K18 an order beside it": "订单 1024 的兑换码：\u200b0123 4567 89AB CDEF（满100送10）",
    "K18 an address": "https://pay.example.cn/redeem?code=0123456789ABCDEF",
    "K18 a field of a page": "0123&nbsp;4567&nbsp;89AB&nbsp;CDEF",
    "K18 an address that was escaped": "code%3D0123%2D4567%2D89AB%2DCDEF",
    "K18 words behind it": "KEY 0123456789ABCDEF (VIP)",
    "K18 a date behind it": "卡密：0123456789ABCDEF，有效期2026-12-31",
    "K18 a line break between and a year": "0123-4567-\n89AB-CDEF\n请勿外传 2026",
    "K18 a whole message": f"{'尊敬的用户，' * 60}您的兑换码：0123-4567-89AB-CDEF{'，退订回T' * 30}",
    "K18 letters apart": "0 1 2 3 - 4 5 6 7 - 8 9 A B - C D E F",
}


@pytest.mark.django_db
@pytest.mark.parametrize("through", ["api", "page"])
@pytest.mark.parametrize("name", sampled(TYPED, keep=6))
def test_K04_K18_a_code_counts_however_a_chat_or_a_keyboard_has_dressed_it(
    name: str, through: str, buyer: User, as_user: Any, monkeypatch: pytest.MonkeyPatch, books_agree: Callable[[], None]
) -> None:
    monkeypatch.setattr(RedemptionCode, "new_text", staticmethod(lambda: "0123456789ABCDEF"))
    batch()
    if through == "api":
        assert as_user(buyer).post("/api/user/topup", {"key": TYPED[name]}, format="json").status_code == 200
    else:
        page = Client()
        page.force_login(buyer)
        assert page.post("/recharge/redeem", {"key": TYPED[name]}).status_code == 302
    assert wallet_of(buyer).balance == 500_000
    books_agree()


@pytest.mark.parametrize(
    "typed",
    [
        "0123-4567-89AB-CDE",
        "0123-4567-89AB-CDEFG",
        "0123-4567-89AB-CDEU",
        "0123-4567-89AB-CDEF or 0123-4567-89AB-CDE0",
        "0123456789ABCDEF 0123456789ABCDE0",
        "%00%FF&#0;",
        "code0123456789ABCDEF",
        "٠" * 16,
        "：" * 16,
    ],
)
def test_what_has_other_letters_or_another_number_of_them_is_no_code(typed: str) -> None:
    assert plain(typed) == ""


@pytest.mark.django_db
def test_codes_are_unguessable_and_stored_encrypted() -> None:
    made = texts(batch(count=200))
    assert len(set(made)) == 200
    assert {character for text in made for character in text} == {*ALPHABET, "-"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(digest || text, ' ') FROM topup_redemptioncode")
        (stored,) = cursor.fetchone()
    assert not any(text in stored or plain(text) in stored for text in made)


@pytest.mark.django_db
def test_the_audit_names_a_redeemed_code_without_its_entry_and_an_entry_without_its_code(buyer: User) -> None:
    first, _ = texts(batch(count=2))
    services.redeem(buyer, first)
    redeemed = RedemptionCode.objects.get(redeemed_by=buyer)
    RedemptionCode.objects.filter(pk=redeemed.pk).update(redeemed_by=None, redeemed_at=None)
    RedemptionCode.objects.exclude(pk=redeemed.pk).update(redeemed_by=buyer, redeemed_at=clock.now())
    found = "\n".join(audit.run(full=True).findings)
    assert "a redeemed code has one entry" in found
    assert "no entry without a redeemed code" in found


@pytest.mark.django_db
def test_the_api_answers_in_the_dialect_and_slows_guessers_down(as_user: Any, buyer: User) -> None:
    client, (text,) = as_user(buyer), texts(batch())
    assert client.post("/api/user/topup", {"key": text}, format="json").json() == {
        "success": True,
        "message": "",
        "data": 500_000,
    }
    again = client.post("/api/user/topup", {"key": text}, format="json")
    assert (again.status_code, again.json()["success"]) == (409, False)
    for typed in ("0000", "兑换码", "U" * 16, text + "0") * 3:
        # K: what cannot be a code is no guess.
        assert client.post("/api/user/topup", {"key": typed}, format="json").status_code == 400
    for _ in range(9):
        assert client.post("/api/user/topup", {"key": "0" * 16}, format="json").status_code == 400
    braked = client.post("/api/user/topup", {"key": "0" * 16}, format="json")
    assert braked.status_code == 429
    assert int(braked["Retry-After"]) > 0
    assert as_user(None).post("/api/user/topup", {"key": text}, format="json").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": None}, {"key": ["x"]}, {"key": "x" * 2001}, []])
def test_a_body_that_is_none_is_refused(body: Any, as_user: Any, buyer: User) -> None:
    assert as_user(buyer).post("/api/user/topup", body, format="json").status_code == 400


@pytest.mark.django_db
def test_on_the_page_a_code_becomes_balance_and_a_wrong_one_says_why(buyer: User) -> None:
    page, (text,) = Client(headers={"accept-language": "en"}), texts(batch())
    page.force_login(buyer)
    done = page.post("/recharge/redeem", {"key": text.lower()}, follow=True).content.decode()
    assert "500,000 quota were credited" in done
    wrong = page.post("/recharge/redeem", {"key": "<b>"})
    assert wrong.status_code == 400
    assert "This code does not exist" in wrong.content.decode()
    assert "&lt;b&gt;" in wrong.content.decode()
    assert page.get("/recharge/redeem").status_code == 405


# --- For operators ---------------------------------------------------------------------------------------------------
ADD = "/admin/topup/codebatch/add/"
FORM = {"name": "Autumn", "quota": "1000", "count": "3", "expires_at_0": "", "expires_at_1": ""}


def test_an_operator_makes_a_batch_and_downloads_it_with_the_password(browser: Client, buyer: User) -> None:
    made = browser.post(ADD, FORM, follow=True).content.decode()
    assert "3 codes were made" in made
    (row,) = CodeBatch.objects.all()
    assert (row.codes.count(), row.created_by) == (3, "operator")
    file = f"/admin/topup/codebatch/{row.pk}/codes.csv"
    assert "This is not your password" in browser.post(file, {"current_password": "no"}, follow=True).content.decode()
    answer = browser.post(file, {"current_password": "a long operator password"})
    lines = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))  # type: ignore[call-overload]
    assert len(lines) == 3
    assert services.redeem(buyer, lines[0]["code"]) == 1000
    assert "1 / 3" in browser.get("/admin/topup/codebatch/").content.decode()
    assert (
        browser.post(f"/admin/topup/codebatch/{row.pk}/do/revoke/", {"reason": "lost"}, follow=True).status_code == 200
    )
    with pytest.raises(services.CodeInvalid):
        services.redeem(buyer, lines[1]["code"])


@pytest.mark.parametrize(
    "changes", sampled([{"quota": "0"}, {"quota": "-5"}, {"count": "0"}, {"count": "10001"}, {"name": ""}], keep=2)
)
def test_a_batch_that_makes_no_sense_is_refused(changes: dict[str, str], browser: Client) -> None:
    assert browser.post(ADD, FORM | changes).status_code == 200
    assert not CodeBatch.objects.exists()


def test_a_single_code_is_found_as_it_was_pasted_and_revoked_with_a_reason(browser: Client, buyer: User) -> None:
    first, second, third = list(services.texts_of(batch(count=3)))
    services.redeem(buyer, first[0])
    page = browser.get("/admin/topup/redemptioncode/", {"q": f"您的兑换码：{second[0].lower()}。"})
    assert [row.pk for row in page.context["cl"].result_list] == [second[1].pk]
    # The whole code is money: only its end is shown.
    assert second[0] not in page.text.replace(second[0].lower(), "")
    assert second[0][-4:] in page.text
    assert browser.get("/admin/topup/codebatch/", {"q": second[0]}).context["cl"].result_count == 1
    address = f"/admin/topup/redemptioncode/{second[1].pk}/"
    assert "Say why" in browser.post(f"{address}do/revoke/", follow=True).text
    assert "The code is revoked." in browser.post(f"{address}do/revoke/", {"reason": "leaked"}, follow=True).text
    assert "leaked" in browser.get(f"{address}change/").text
    assert "leaked" in LogEntry.objects.latest("pk").change_message
    with pytest.raises(services.CodeInvalid):
        services.redeem(buyer, second[0])
    assert services.redeem(buyer, third[0]) == 500_000
    # What is redeemed cannot be revoked.
    used = f"/admin/topup/redemptioncode/{first[1].pk}/do/revoke/"
    assert "take the quota back" in browser.post(used, {"reason": "x"}, follow=True).text
    assert browser_of(clerk("view_redemptioncode")).post(used, {"reason": "x"}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_code_is_revoked_or_redeemed_and_never_both(buyer: User, books_agree: Callable[[], None]) -> None:
    for _ in range(5):
        ((text, code),) = services.texts_of(batch())

        def redeem(text: str = text) -> int:
            try:
                return services.redeem(buyer, text)
            except services.CodeInvalid:
                return 0

        def revoke(code: RedemptionCode = code) -> bool:
            return services.revoke_code(code, by="operator", reason="race")

        won, revoked = at_once(redeem, revoke)
        assert bool(won) != revoked
        code.refresh_from_db()
        assert (code.redeemed_at is None) == revoked
    books_agree()
