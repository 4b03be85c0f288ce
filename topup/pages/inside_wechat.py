"""WeChat's own browser: finding out whose WeChat it is, so that it can pay in the page.

The openid says who pays, and nothing about who is signed in: it stays in the session, moves no account, and signs
nobody in. Another WeChat with the same account is asked anew: WeChat lets only the payer it was told of pay.
"""

import logging
import secrets
import time

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper.secrets import SecretUnreadable

from ..gateways.base import GatewayError
from ..gateways.wechat.web_login import WebLogin
from ..models import RechargeSettings, WeChatSettings
from ..services import JSAPI, Way

log = logging.getLogger(__name__)

# In the session: [app id, openid]; the question that is open; when WeChat was asked last.
PAYER, QUESTION, ASKED_AT = "wechat_payer", "wechat_question", "wechat_asked_at"
# A question that brought nothing is not asked again at once, or the page would go round in circles.
ASK_AGAIN_AFTER_S = 600
LONGEST_CODE = 512


def payer(request: HttpRequest) -> Way:
    """How the WeChat in front of us pays; without openid while we do not know whose it is."""
    app_id, openid = request.session.get(PAYER) or ("", "")
    return Way(JSAPI, app_id, openid if app_id == WeChatSettings.load().app_id else "")


def should_ask(request: HttpRequest) -> bool:
    """Whether a visit should go by WeChat first: we can ask, do not know, and have not just asked in vain."""
    if payer(request).openid or not _login():
        return False
    asked_at: int = request.session.get(ASKED_AT, 0)
    return time.time() - asked_at > ASK_AGAIN_AFTER_S


def ask(request: HttpRequest, back: str) -> HttpResponse:
    """To WeChat, which sends the visitor on to `answer`, and that to `back`, a page of ours. The question is this
    session's, and good once."""
    login = _login()
    assert login is not None, "should_ask says when"  # noqa: S101  # for the types
    state = secrets.token_hex(16)
    request.session[QUESTION] = {"state": state, "back": back}
    request.session[ASKED_AT] = int(time.time())
    return redirect(login.address(f"{RechargeSettings.load().address}{reverse('topup:payer')}", state))


@never_cache
@login_required
@require_safe
def answer(request: HttpRequest) -> HttpResponse:
    """Back from WeChat; on to the page the visitor came from, whatever came of it."""
    question: dict[str, str] | None = request.session.get(QUESTION)
    if question is None or not constant_time_compare(request.GET.get("state", ""), question["state"]):
        return redirect("topup:recharge")
    del request.session[QUESTION]
    if code := request.GET.get("code", "")[:LONGEST_CODE]:
        _learn(request, code)
    return redirect(question["back"])


def _learn(request: HttpRequest, code: str) -> None:
    login = _login()
    if login is None:
        return
    try:
        request.session[PAYER] = [login.app_id, login.openid(code)]
    except GatewayError as error:
        log.warning("WeChat did not say who pays: %s", error)
        messages.warning(request, _("WeChat did not tell us who you are, so it cannot open the payment by itself."))


def _login() -> WebLogin | None:
    """The official account, when it is completely configured."""
    section = WeChatSettings.load()
    try:
        secret = section.app_secret.reveal()
    except SecretUnreadable:
        return None
    if not (section.enabled and section.app_id and secret):
        return None
    return WebLogin(section.app_id, secret, settings.WECHAT_OAUTH_URL, settings.WECHAT_API_BASE_URL)
