"""Signing in on the web by WeChat's QR code, and linking a WeChat account to a user who has another way to sign in.

The question that a visitor takes to WeChat belongs to the session and is good once: nobody can be lured into an
account, or into linking one, by an address. Who comes is known by the unionid, so that the mini program's users are the
same here (mini_program.user_of).
"""

import logging
import secrets
import time
from dataclasses import dataclass

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.secrets import SecretUnreadable

from . import letters, sessions
from .mini_program import AnotherUsers, Inactive, NotSetUp, user_of
from .models import Passkey, User, WebsiteSettings, WeChatIdentity
from .wechat.base import BASE_URL, AppRefused, LoginFailed
from .wechat.mini_program import WeChatPerson
from .wechat.web_login import QR_PAGE, WebsiteLogin

log = logging.getLogger(__name__)

QUESTIONS = "60 per 10 minutes"
REFUSED_CODES = "30 per 10 minutes"
# WeChat's own page asks for another code after five minutes.
QUESTION_LIFE_S = 15 * 60
_QUESTION = "wechat_sign_in"


class QuestionDead(Exception):
    """This session did not ask, asked again since, or too long ago."""


class NoOtherWay(Exception):
    """Without WeChat the user could not sign in any more."""


@dataclass(frozen=True)
class WebQuestion:
    """What a session sent its visitor to WeChat for: to sign in and go `back` to a page of ours, or to `bind` the
    WeChat account to the user with this id (0: to nobody)."""

    back: str
    bind: int = 0


def open_website(section: WebsiteSettings | None = None) -> WebsiteLogin:
    """The website app as configured now. Raises NotSetUp."""
    section = section or WebsiteSettings.load()
    if not (section.app_id and section.app_secret):
        raise NotSetUp("App id and app secret of the website app are not both entered.")
    try:
        secret = section.app_secret.reveal()
    except SecretUnreadable as error:
        raise NotSetUp(str(error)) from error
    api = settings.WECHAT_API_BASE_URL.rstrip("/") or BASE_URL
    return WebsiteLogin(section.app_id, secret, settings.WECHAT_QR_URL or QR_PAGE, api)


def is_on() -> bool:
    """Whether people can sign in this way: operators have entered what it takes."""
    section = WebsiteSettings.load()
    return bool(section.app_id and section.app_secret)


def open_question(session: SessionBase, question: WebQuestion, callback: str) -> str:
    """WeChat's address, which sends the visitor on to `callback` with a code. Raises NotSetUp."""
    state = secrets.token_hex(16)
    address = open_website().address(callback, state)
    session[_QUESTION] = {"state": state, "back": question.back, "bind": question.bind, "at": int(time.time())}
    return address


def close_question(session: SessionBase, state: str) -> WebQuestion:
    """What this session asked, which it has not asked any more. Raises QuestionDead."""
    asked = session.pop(_QUESTION, None)
    if asked is None or not constant_time_compare(state, asked["state"]):
        raise QuestionDead
    if time.time() - asked["at"] > QUESTION_LIFE_S:
        raise QuestionDead
    return WebQuestion(asked["back"], asked["bind"])


def sign_in(code: str) -> User:
    """The user a code belongs to, made on the first time. Raises LoginFailed, NotSetUp, Inactive."""
    app, person = _ask(code)
    user, _is_new = user_of(app.app_id, person)
    if not user.is_active:
        raise Inactive
    return user


def bind(user: User, code: str) -> None:
    """Let the person of a code sign in as `user` from now on. Raises LoginFailed, NotSetUp, AnotherUsers."""
    app, person = _ask(code)
    if user_of(app.app_id, person, otherwise=user)[0] != user:
        raise AnotherUsers


def is_bound(user: User) -> bool:
    return WeChatIdentity.objects.filter(user=user).exists()


def has_another_way(user: User) -> bool:
    """Whether the user can sign in without WeChat: by password, or a new one by mail, or a passkey."""
    by_mail = bool(user.email and user.email_verified_at)
    return user.has_usable_password() or by_mail or Passkey.objects.filter(user=user).exists()


def unbind_own(user: User) -> bool:
    """The user's own wish. Raises NoOtherWay. False: none was linked."""
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        if not has_another_way(row):
            raise NoOtherWay
        return unbind(row) > 0


def unbind(user: User) -> int:
    """No WeChat account signs in as this user any more, here or in the mini program, and whoever did so is signed out.
    Returns how many there were."""
    with transaction.atomic():
        count, _by_model = WeChatIdentity.objects.filter(user=user).delete()
        if count:
            letters.sign_in_changed(user, letters.WECHAT_UNBOUND)
            sessions.end_all(user)
    return count


def _ask(code: str) -> tuple[WebsiteLogin, WeChatPerson]:
    """Ask WeChat; operators learn of what only they can mend."""
    try:
        app = open_website()
        return app, app.person_of(code)
    except (NotSetUp, AppRefused) as error:
        hint = error.hint if isinstance(error, LoginFailed) else ""
        raise_alert(
            "wechat_login_broken",
            title=Text(gettext_noop("Nobody can sign in by WeChat’s QR code")),
            content=" ".join(filter(None, [str(error), hint])),
            key="wechat-website",
            about=WebsiteSettings.load(),
            platform="wechat",
        )
        log.warning("Nobody can sign in by WeChat's QR code: %s", error)
        raise
