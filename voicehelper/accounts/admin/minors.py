"""Minors' mode on a user's page: for a guardian who asks, or who has forgotten the PIN."""

from django.http import HttpRequest
from django.utils.translation import gettext

from voicehelper.admin.base import Action, Report, operator

from .. import minors
from ..models import User


def minors_action(user: User) -> Action:
    """On or off, whichever it is not."""
    if user.minor:
        label, hint = gettext("Switch minors’ mode off"), gettext("For a guardian who has forgotten the PIN.")
        return Action("minors_off", label, hint=hint, asks_reason=True)
    hint = gettext(
        "%(minutes)d minutes of chat a day, none at night, ¥%(recharge)d a day recharged and ¥%(use)d used. The user’s"
        " page changes the limits and sets a PIN."
    )
    limits = minors.DEFAULT
    facts = {"minutes": limits.minutes, "recharge": limits.recharge_fen // 100, "use": limits.use_fen // 100}
    return Action("minors_on", gettext("Switch minors’ mode on"), hint=hint % facts, asks_reason=True)


def minors_on(request: HttpRequest, user: User) -> Report:
    minors.switch_on(user, by=operator(request))
    return Report(True, gettext("Minors’ mode is on."))


def minors_off(user: User) -> Report:
    done = minors.switch_off(user)
    return Report(done, gettext("Minors’ mode is off."))
