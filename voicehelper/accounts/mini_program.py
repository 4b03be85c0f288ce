"""Signing in from WeChat's mini program: one user for each person, by openid and, across apps, by unionid."""

import logging
import secrets

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.secrets import Secret, SecretUnreadable

from . import deleting, letters, names, sharing
from .models import MiniProgramSettings, User, WeChatIdentity
from .own_password import PasswordRefused
from .services import issue_token
from .wechat.base import BASE_URL, AppRefused, LoginFailed, WeChatAway
from .wechat.mini_program import MiniProgram, WeChatPerson

log = logging.getLogger(__name__)


class NotSetUp(Exception):
    """The operator has not entered app id and secret, or the secret cannot be read; `str()` says which."""


class Inactive(Exception):
    """The user is switched off."""


class AnotherUsers(Exception):
    """This WeChat person signs in as another user already."""


def open_mini_program(section: MiniProgramSettings | None = None) -> MiniProgram:
    """The mini program as configured now. Raises NotSetUp."""
    section = section or MiniProgramSettings.load()
    if not (section.app_id and section.app_secret):
        raise NotSetUp("App id and app secret of the mini program are not both entered.")
    try:
        secret = section.app_secret.reveal()
    except SecretUnreadable as error:
        raise NotSetUp(str(error)) from error
    return MiniProgram(section.app_id, secret, settings.WECHAT_API_BASE_URL.rstrip("/") or BASE_URL)


def sign_in(code: str, *, share_id: str = "") -> tuple[User, str]:
    """The user a code of `wx.login` belongs to, made on the first time, and a token.

    `share_id` says by whose invitation a new user came. Raises LoginFailed, NotSetUp, Inactive.
    """
    app, person = _ask(code)
    user, is_new = user_of(app.app_id, person)
    if not user.is_active:
        raise Inactive
    if is_new and share_id:
        sharing.record_sign_up(share_id, user)
    if user.leaving_at:
        deleting.call_off(user)
    return user, issue_token(user)


def bind(user: User, code: str) -> None:
    """Let the person of a code sign in as `user` from now on. Raises LoginFailed, NotSetUp, AnotherUsers."""
    app, person = _ask(code)
    if user_of(app.app_id, person, otherwise=user)[0] != user:
        raise AnotherUsers


def prove(user: User, code: str) -> None:
    """That whoever brought this code signs in as `user`. Raises PasswordRefused, LoginFailed, NotSetUp."""
    if not code:
        raise PasswordRefused(_("Sign in with WeChat again to confirm this."))
    app, person = _ask(code)
    if not WeChatIdentity.objects.filter(user=user, app_id=app.app_id, openid=person.openid).exists():
        raise PasswordRefused(_("This is not the WeChat account that signs in here."))


def user_of(app_id: str, person: WeChatPerson, *, otherwise: User | None = None) -> tuple[User, bool]:
    """Who a person is here: by openid, else by unionid, else `otherwise`, else somebody new (the flag says so).

    Two at once agree: the second finds what the first wrote.
    """
    try:
        return _user_of(app_id, person, otherwise)
    except IntegrityError:
        return _user_of(app_id, person, otherwise)


@transaction.atomic
def _user_of(app_id: str, person: WeChatPerson, otherwise: User | None) -> tuple[User, bool]:
    if person.unionid:
        # The same person may come through two apps at once, which no unique constraint sees.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"unionid {person.unionid}"])
    facts = {"session_key": Secret(person.session_key), "seen_at": Now()}
    if person.unionid:
        facts["unionid"] = person.unionid
    known = WeChatIdentity.objects.filter(app_id=app_id, openid=person.openid)
    if known.update(**facts):
        return known.select_related("user").get().user, False
    user = _user_of_union(person.unionid) or otherwise
    is_new = user is None
    user = user or _new_user()
    if user == otherwise:
        letters.sign_in_changed(user, letters.WECHAT_BOUND)
    WeChatIdentity.objects.create(user=user, app_id=app_id, openid=person.openid, **facts)
    return user, is_new


def _user_of_union(unionid: str) -> User | None:
    if not unionid:
        return None
    found = WeChatIdentity.objects.filter(unionid=unionid).select_related("user").order_by("pk").first()
    return found.user if found else None


def _new_user() -> User:
    """Somebody with a name nobody guesses and no password."""
    name = f"wx_{secrets.token_hex(8)}"
    names.check_and_hold(name)
    return User.objects.create_user(name, password=None)


def _ask(code: str) -> tuple[MiniProgram, WeChatPerson]:
    """Ask WeChat; operators learn of what only they can mend."""
    try:
        app = open_mini_program()
        return app, app.person_of(code)
    except (NotSetUp, AppRefused) as error:
        hint = error.hint if isinstance(error, LoginFailed) else ""
        raise_alert(
            "wechat_login_broken",
            title=Text(gettext_noop("Nobody can sign in from the mini program")),
            content=" ".join(filter(None, [str(error), hint])),
            key="wechat-login",
            about=MiniProgramSettings.load(),
            platform="wechat",
        )
        log.warning("The mini program's users cannot sign in: %s", error)
        raise
    except WeChatAway as error:
        log.warning("WeChat did not say who signs in: %s", error)
        raise
