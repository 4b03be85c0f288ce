"""A list as one operator wants to see it again; and the way past the menu for those without a mouse."""

import re

import pytest
from django.test import Client

from tests.operators import browser_of, clerk
from voicehelper.accounts.models import SavedView, User

pytestmark = pytest.mark.django_db

USERS = "/admin/accounts/user/"
KEEP = f"{USERS}views/"


def test_a_view_is_kept_shown_as_a_link_marked_where_it_is_and_deleted(browser: Client) -> None:
    shown = browser.get(f"{USERS}?q=bu&active=yes&p=1").text
    assert "Save this view" in shown
    assert 'value="active=yes&amp;q=bu"' in shown
    answer = browser.post(KEEP, {"name": " Active  bu ", "query": "q=bu&p=3&active=yes"})
    assert (answer.status_code, answer["Location"]) == (302, f"{USERS}?active=yes&q=bu")
    again = browser.get(answer["Location"]).text
    assert re.search(r'href="\?active=yes&amp;q=bu"\s+aria-current="page">Active bu<', again)
    assert "Save this view" not in again
    view = SavedView.objects.get()
    assert browser.post(f"{KEEP}{view.pk}/delete/", {"query": ""})["Location"] == USERS
    assert not SavedView.objects.exists()


def test_views_are_each_operators_own(browser: Client) -> None:
    browser.post(KEEP, {"name": "Mine", "query": "active=yes"})
    other = browser_of(clerk("view_user"))
    assert "Mine" not in other.get(f"{USERS}?active=yes").text
    assert other.post(f"{KEEP}{SavedView.objects.get().pk}/delete/").status_code == 404
    other.post(KEEP, {"name": "Mine", "query": "active=no"})
    assert SavedView.objects.count() == 2


def test_what_makes_no_view_is_refused_and_nobody_without_the_list_keeps_one(browser: Client, buyer: User) -> None:
    for name, query in (("", "q=a"), ("No filter", "p=2"), ("n" * 41, "q=a"), ("Long", f"q={'a' * 1000}")):
        browser.post(KEEP, {"name": name, "query": query})
    assert not SavedView.objects.exists()
    browser.post(KEEP, {"name": "Twice", "query": "q=a"})
    assert (
        "There is a view of this name already."
        in browser.post(KEEP, {"name": "Twice", "query": "q=b"}, follow=True).text
    )
    stranger = browser_of(clerk("view_alert"))
    assert stranger.post(KEEP, {"name": "Mine", "query": "q=a"}).status_code == 403
    assert browser.get(KEEP).status_code == 405
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize("page", ["/admin/", USERS, "/admin/topup/order/", "/admin/notifications/jobrun/", "/"])
def test_the_first_thing_that_a_keyboard_reaches_leads_to_the_content(browser: Client, page: str) -> None:
    text = browser.get(page, follow=True).text
    first = re.search(
        r"<(?:a|button|input|select|textarea|summary)\b(?![^>]*type=.hidden)[^>]*>", text.partition("<body")[2]
    )
    assert first
    target = re.search(r'href="#([\w-]+)"', first[0])
    assert target
    assert f'id="{target[1]}"' in text
    # From there to the search of a list are few steps: nothing of the menu comes in between.
    rest = text.partition(f'id="{target[1]}"')[2]
    before_search = rest.partition('id="searchbar"')[0] if 'id="searchbar"' in rest else ""
    assert len(re.findall(r"<(?:a|button|summary)\b", before_search)) <= 4
