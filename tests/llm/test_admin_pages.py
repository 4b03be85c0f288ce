"""The operator's pages of large models open, show what they should, and refuse strangers."""

import pytest
from django.test import Client

from llm.models import Model
from llm.seeds import plant
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

PAGES = [
    "/admin/",
    "/admin/llm/credential/",
    "/admin/llm/credential/add/",
    "/admin/llm/model/",
    "/admin/llm/model/add/",
    "/admin/llm/model/router/",
    "/admin/llm/usage/",
    "/admin/llm/usage/statistics/",
    "/admin/llm/usage/statistics/?span=hour&by=provider",
    "/admin/llm/chatsession/",
    "/admin/accounts/apikey/",
]


@pytest.fixture
def browser(staff: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(staff)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_for_an_operator_and_for_nobody_else(browser: Client, buyer: User, page: str) -> None:
    plant(Model)
    assert browser.get(page).status_code == 200
    stranger = Client()
    stranger.force_login(buyer)
    assert stranger.get(page).status_code == 302
    helper = User.objects.create_user("helper", is_staff=True)
    stranger.force_login(helper)
    assert stranger.get(page).status_code == (200 if page == "/admin/" else 403)
