"""The settings page of a gateway that has had other merchants, on a desk and on a phone."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.person import Person
from tests.conftest import rarely
from tests.merchants import WECHAT, WeChatMerchant
from tests.orders import pending_order
from tests.processes import Server
from topup.models import MerchantAccount
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rare
@pytest.mark.parametrize("width", [*rarely("desktop"), "small phone"])
def test_M2_the_page_with_retired_accounts_fits_and_the_tick_can_be_hit(
    shop: User, staff: User, open_browser: Callable[..., Person], width: str, server: Server, settings: Any
) -> None:
    settings.WECHAT_PAY_BASE_URL = f"{server.address}/sandbox/wechat"
    for merchant in (WECHAT, WeChatMerchant(mch_id="1900000555")):
        merchant.configure()
        pending_order(shop, merchant)
    WeChatMerchant(mch_id="1900000777").configure()
    MerchantAccount.objects.filter(merchant_id="1900000555").update(kept=Secret())
    pending_order(shop, WeChatMerchant(mch_id="1900000777"))
    person = open_browser(width)
    person.is_signed_in(staff)
    person.visit("/admin/topup/wechatsettings/1/change/")
    person.loaded()
    person.sees("#retired", "1900000109")
    person.fill("#id_mch_id", "1900000888")
    person.fill("#id_current_password", "a long operator password")
    person.click(".vh-save .vh-main")
    person.sees("#leaves-behind", "1 order of merchant 1900000777 is under way")
    assert person.script("return document.documentElement.scrollWidth <= innerWidth")
    person.script("document.querySelector('[for=id_retire]').scrollIntoView({block: 'center'})")
    person.click("[for=id_retire]")
    person.click(".vh-save .vh-main")
    # The stand-in knows no such merchant, and says so before anything is saved.
    person.click(".vh-save [name=_save_all_the_same]")
    person.sees("#retired", "1900000777")
    assert not person.has("#leaves-behind")
