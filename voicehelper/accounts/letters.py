"""What users are mailed, in their language. A name somebody chose is not in a mail to an address nobody has confirmed:
it would carry a stranger's words to whomever the stranger likes."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications import mail
from voicehelper import clock
from voicehelper.numbers import grouped
from voicehelper.wallet.worth import in_yuan, list_price

from .models import User

# A notice that something changed is worth sending for as long.
_NOTICE = timedelta(days=1)


def confirm(address: str, link: str, good_for: timedelta) -> None:
    """A link that makes `address` somebody's; in the language of the request, which is theirs."""
    subject = _("Confirm your email address")
    lines = [
        _("Somebody, we hope you, entered this address in an account at %(site)s. Open this link to confirm it:"),
        link,
        _("The link is good for a day. If it was not you, do nothing: without the link nothing happens."),
    ]
    _post(address, subject, lines, good_for)


def already_used(user: User) -> None:
    """To the owner of an address that somebody else entered."""
    with _in_language_of(user):
        subject = _("Your email address was entered again")
        lines = [
            _("Somebody, perhaps you, entered this address in another account at %(site)s. It stays with yours."),
            _("Have you forgotten that you have an account? Its name or a new password can be had here:"),
            settings.SERVER_ADDRESS + "/accounts/forgot",
        ]
        _post(user.email, subject, lines, _NOTICE)


def moved(user: User, old_address: str) -> None:
    """To the address that was the user's until now."""
    with _in_language_of(user):
        subject = _("The email address of your account was changed")
        lines = [
            _("The account %(name)s at %(site)s has another email address now, or none; this one is not its any more."),
            _("If it was not you, change your password at once and tell the operator of the site."),
        ]
        _post(old_address, subject, lines, _NOTICE, name=user.username)


def reset(user: User, link: str, good_for: timedelta) -> None:
    """A link that sets a new password."""
    with _in_language_of(user):
        subject = _("Set a new password")
        lines = [
            _("Somebody asked for a new password for the account %(name)s at %(site)s. Open this link to set one:"),
            link,
            _("The link is good once, for one hour. If it was not you, do nothing: your password stays as it is."),
        ]
        _post(user.email, subject, lines, good_for, name=user.username)


def password_was_set(user: User) -> None:
    """That a link of ours was used."""
    with _in_language_of(user):
        subject = _("Your password was changed")
        lines = [
            _("The account %(name)s at %(site)s has a new password. All its devices and programs were signed out."),
            _("If it was not you, set another one at once: %(link)s"),
        ]
        link = settings.SERVER_ADDRESS + "/accounts/forgot"
        _post(user.email, subject, lines, _NOTICE, name=user.username, link=link)


# How somebody signs in, changed in one sentence; `passkey` is the name its owner gave it.
FACTOR_ON = gettext_lazy("Two-step sign-in of the account %(name)s at %(site)s was switched on.")
FACTOR_OFF = gettext_lazy("Two-step sign-in of the account %(name)s at %(site)s was switched off.")
CODES_NEW = gettext_lazy("New codes for paper were made for the account %(name)s at %(site)s; the old ones are void.")
PASSKEY_ADDED = gettext_lazy("The passkey “%(passkey)s” was added to the account %(name)s at %(site)s.")
PASSKEY_REMOVED = gettext_lazy("The passkey “%(passkey)s” was removed from the account %(name)s at %(site)s.")
WECHAT_BOUND = gettext_lazy("A WeChat account was linked to the account %(name)s at %(site)s and can sign in to it.")
WECHAT_UNBOUND = gettext_lazy("A WeChat account was unlinked from the account %(name)s at %(site)s.")


def sign_in_changed(user: User, what: object, **facts: str) -> None:
    """To the owner, when there is another way to sign in or one less: `what` is one of the sentences above."""
    if not (user.email and user.email_verified_at):
        return
    with _in_language_of(user):
        subject = _("How you sign in was changed")
        lines = [
            str(what),
            _("If it was not you, change your password at once, look through %(link)s, and tell the operator."),
        ]
        link = settings.SERVER_ADDRESS + "/accounts/devices"
        _post(user.email, subject, lines, _NOTICE, name=user.username, link=link, **facts)


def will_be_deleted(user: User, due: datetime) -> None:
    """That the account is going, until when, and how it stays."""
    if not user.email_verified_at:
        return
    with _in_language_of(user):
        subject = _("Your account will be deleted")
        lines = [
            _("The account %(name)s at %(site)s will be deleted on %(due)s, Beijing time, with all that is in it."),
            _("To keep it, sign in before then. If it was not you who asked for this, change your password as well."),
        ]
        when = f"{due.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}"
        _post(user.email, subject, lines, _NOTICE, name=user.username, due=when)


def stays(user: User) -> None:
    """That somebody signed in, and the account is not deleted."""
    if not user.email_verified_at:
        return
    with _in_language_of(user):
        subject = _("Your account stays")
        lines = [
            _("Somebody signed in to the account %(name)s at %(site)s: it is not deleted, and all is as it was."),
            _("If it was not you, set another password at once: %(link)s"),
        ]
        link = settings.SERVER_ADDRESS + "/accounts/forgot"
        _post(user.email, subject, lines, _NOTICE, name=user.username, link=link)


def export_is_ready(user: User, days: int) -> None:
    """That the copy of their data can be fetched. The page asks who they are; the mail holds no way to the file."""
    if not user.email_verified_at:
        return
    with _in_language_of(user):
        subject = _("The copy of your data is ready")
        lines = [
            _("The copy of your data that you asked for at %(site)s is ready. Fetch it within %(days)s days:"),
            settings.SERVER_ADDRESS + "/accounts/data",
            _("If it was not you who asked for it, change your password at once."),
        ]
        _post(user.email, subject, lines, _NOTICE, days=str(days))


def low_balance(user: User, balance: int, threshold: int) -> None:
    """That the balance is at or below what they asked to be told of, both in quota."""
    rate = list_price().yuan_per_quota
    with _in_language_of(user):
        subject = _("Your balance is low")
        lines = [
            _("The balance of the account %(name)s at %(site)s is ¥%(yuan)s (%(quota)s quota)."),
            _("You asked to be told when it falls to ¥%(limit_yuan)s (%(limit)s quota). Recharge here: %(link)s"),
            _("Change this notice, or switch it off: %(settings)s"),
        ]
        facts = {
            "yuan": in_yuan(balance, rate),
            "quota": grouped(balance),
            "limit_yuan": in_yuan(threshold, rate),
            "limit": grouped(threshold),
            "link": settings.SERVER_ADDRESS + "/recharge",
            "settings": settings.SERVER_ADDRESS + "/accounts/low-balance",
        }
        _post(user.email, subject, lines, _NOTICE, name=user.username, **facts)


def _in_language_of(user: User) -> translation.override:
    """Theirs; before they ever signed in, that of the request."""
    return translation.override(user.language or translation.get_language())


def _post(to: str, subject: str, lines: list[str], good_for: timedelta, **facts: str) -> None:
    facts["site"] = settings.SERVER_ADDRESS
    text = "\n\n".join(line % facts if "%(" in line else line for line in lines)
    mail.post(to, f"{subject} · VoiceHelper", text + "\n", good_for=good_for)
