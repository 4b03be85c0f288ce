"""WeChat Pay API v3 in a real browser: a buyer pays, and the settings page shows what the chosen version wants."""

from collections.abc import Callable

import pytest
from selenium.webdriver.support.select import Select

from tests.browser.person import Person
from tests.browser.test_recharge import CARD, start_paying
from tests.refunds import speak_v3
from topup.models import Notice
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rare
def test_a_person_pays_an_order_of_api_v3_and_its_signed_notice_credits_it(
    shop: User, person: Person, books_agree: Callable[[], None]
) -> None:
    speak_v3()
    order = start_paying(person)
    person.pay_on_the_simulated_phone()
    person.sees(CARD.format("paid"), "Balance now\n5,000,000")
    order.refresh_from_db()
    notice = Notice.objects.get(order=order)
    assert (order.sign_type, order.credited_by, notice.verdict) == ("RSA", "notice", Notice.Verdict.CREDITED)
    assert notice.headers["wechatpay-serial"].startswith("PUB_KEY_ID_")
    assert wallet_of(shop).balance == 5_000_000
    assert person.complaints() == []
    books_agree()


@pytest.mark.rare
def test_the_settings_show_only_what_the_chosen_version_wants(open_browser: Callable[..., Person]) -> None:
    operator = open_browser()
    operator.is_signed_in(User.objects.create_superuser("operator", password="a long operator password"))
    operator.visit("/admin/topup/wechatsettings/1/change/")
    seen = []
    for version in ("v2", "v3", "v2"):
        Select(operator.find("[name=api_version]")).select_by_value(version)
        seen.append([operator.find(f"[name={name}]").is_displayed() for name in ("api_v2_key", "api_v3_key")])
    assert seen == [[True, False], [False, True], [True, False]]
    assert operator.find("[name=client_cert]").is_displayed()
    assert operator.find("[name=mch_id]").get_attribute("value")
