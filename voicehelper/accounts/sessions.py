"""Where a user is signed in: browsers, which are noted as they come, and programs with a token. Each can be ended; a
browser that does not come is signed out by itself."""

import re
import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from voicehelper.net.addresses import client_address

from . import proof
from .models import AccessToken, BrowserSession, User
from .services import revoke_tokens

# How exact "last seen" is; and how many sessions a process knows that it has just noted.
_AGAIN_S = 60.0
_MOST = 20_000
_AT_ONCE = 1_000
_noted: dict[str, float] = {}

# Of the session itself only its end: another request may be writing the rest, and the later copy would win.
_NOTE = """
WITH slid AS (UPDATE django_session SET expire_date = %s WHERE session_key = %s)
INSERT INTO accounts_browsersession AS b (session_id, user_id, session_hash, user_agent, address)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (session_id) DO UPDATE
SET user_id = excluded.user_id, session_hash = excluded.session_hash, user_agent = excluded.user_agent,
    address = excluded.address, seen_at = statement_timestamp()
"""

# The first that fits; what others claim to be as well stands before what they claim.
_BROWSERS = (
    ("MicroMessenger/", "WeChat"),
    ("QQ/|MQQBrowser/", "QQ"),
    ("Edg(?:e|A|iOS)?/", "Edge"),
    ("OPR/", "Opera"),
    ("(?:Firefox|FxiOS)/", "Firefox"),
    ("(?:Chrome|CriOS)/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("HarmonyOS|OpenHarmony", "HarmonyOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux|X11", "Linux"),
)


def note(request: HttpRequest) -> None:
    """That this browser was here, if somebody is signed in with it, which moves its end on; once a minute."""
    session: Any = request.session
    key, now = session.session_key, time.monotonic()
    if key is None or SESSION_KEY not in session:
        return
    user = request.user
    if not isinstance(user, User):
        return
    session.ends = _end_of(request, user)
    if now - _noted.get(key, -_AGAIN_S) < _AGAIN_S:
        return
    if len(_noted) >= _MOST:
        _noted.clear()
    _noted[key] = now
    agent = request.headers.get("User-Agent", "").replace("\0", "")[:300]
    row: list[Any] = [session.ends, key, key, user.pk, user.get_session_auth_hash(), agent, client_address(request)]
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, row)


def _end_of(request: HttpRequest, user: User) -> datetime:
    """When the browser is signed out if nothing more is asked for, and SESSION_COOKIE_AGE after signing in anyway."""
    session: Any = request.session
    begun = proof.signed_in_at(request)
    if begun is None:
        # From before that was noted: it keeps its end.
        return session.ends or session.get_expiry_date()
    operator = user.is_staff or user.is_superuser
    idle = timedelta(minutes=settings.STAFF_IDLE_MINUTES) if operator else timedelta(hours=settings.SESSION_IDLE_HOURS)
    # By the node's clock, by which Django looks for sessions.
    return min(begun + timedelta(seconds=settings.SESSION_COOKIE_AGE), timezone.now() + idle)


def device_of(user_agent: str) -> str:
    """A browser in plain words: "Chrome on Windows"."""
    browser, system = (_first(names, user_agent) for names in (_BROWSERS, _SYSTEMS))
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("A browser we do not know")


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for pattern, name in names if re.search(pattern, user_agent)), "")


def browsers_of(user: User) -> QuerySet[BrowserSession]:
    """Those that are signed in now, the latest first."""
    alive = {"session__expire_date__gt": Now(), "session_hash": user.get_session_auth_hash()}
    return BrowserSession.objects.filter(user=user, **alive).order_by("-seen_at")


def tokens_of(user: User) -> QuerySet[AccessToken]:
    """Those that are valid now, the latest first."""
    alive = {"revoked_at": None, "expires_at__gt": Now(), "session_hash": user.get_session_auth_hash()}
    return AccessToken.objects.filter(user=user, **alive).order_by("-pk")


def end_browser(user: User, pk: int) -> bool:
    """Sign one of the user's browsers out. False: it was."""
    count, _by_model = Session.objects.filter(browser__pk=pk, browser__user=user).delete()
    return count > 0


def end_token(user: User, pk: int) -> bool:
    """End one of the user's tokens. False: it had ended."""
    return AccessToken.objects.filter(user=user, pk=pk, revoked_at=None).update(revoked_at=Now()) == 1


def end_all(user: User) -> None:
    """Sign everything out, also what was never noted."""
    User.objects.filter(pk=user.pk).update(sign_outs=F("sign_outs") + 1)
    revoke_tokens(user)
    user.refresh_from_db()


def end_all_others(request: HttpRequest, user: User) -> None:
    """Sign everything out but the browser that asks."""
    end_all(user)
    update_session_auth_hash(request, user)


def forget_ended() -> int:
    """Delete sessions that are over, a few at a time; returns how many."""
    count = 0
    while ids := list(Session.objects.filter(expire_date__lt=Now()).values_list("pk", flat=True)[:_AT_ONCE]):
        Session.objects.filter(pk__in=ids).delete()
        count += len(ids)
    return count
