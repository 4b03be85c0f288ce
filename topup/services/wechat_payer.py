"""WeChat's own browser: finding out whose WeChat it is, so that it can pay in the page.

The openid says who pays, and nothing about who is signed in: it stays in the session, moves no account, and signs
nobody in. Another WeChat with the same account is asked anew: WeChat lets only the payer it was told of pay.
"""

import logging
import secrets
import time

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from voicehelper.accounts.wechat.base import BASE_URL, LoginFailed
from voicehelper.accounts.wechat.web_login import PAGE, WebLogin
from voicehelper.secrets import SecretUnreadable

from ..gateways.ways import Device
from ..gateways.wechat import WeChatPay
from ..models import RechargeSettings
from ..models.sections import WeChatSettings
from .placing import Way

log = logging.getLogger(__name__)

# The browser this is about.
APP = Device(WeChatPay.name)
# In the session: [app id, openid]; the question that is open; when WeChat was asked last.
PAYER, QUESTION, ASKED_AT = "wechat_payer", "wechat_question", "wechat_asked_at"
# A question that brought nothing is not asked again at once, or the page would go round in circles.
ASK_AGAIN_AFTER_S = 600


def payer_of(session: SessionBase) -> Way:
    """How the WeChat in front of us pays; without openid while we do not know whose it is."""
    app_id, openid = session.get(PAYER) or ("", "")
    return Way(WeChatPay.ways[APP], app_id, openid if app_id == WeChatSettings.load().app_id else "")


def should_ask(session: SessionBase) -> bool:
    """Whether a visit should go by WeChat first: we can ask, do not know, and have not just asked in vain."""
    if payer_of(session).openid or not _login():
        return False
    asked_at: int = session.get(ASKED_AT, 0)
    return time.time() - asked_at > ASK_AGAIN_AFTER_S


def open_question(session: SessionBase, back: str) -> str:
    """WeChat's address, which sends the visitor on to the page `payer`, and that to `back`, a page of ours. The
    question is this session's, and good once."""
    login = _login()
    assert login is not None, "should_ask says when"  # noqa: S101  # for the types
    state = secrets.token_hex(16)
    session[QUESTION] = {"state": state, "back": back}
    session[ASKED_AT] = int(time.time())
    return login.address(f"{RechargeSettings.load().address}{reverse('topup:payer')}", state)


def close_question(session: SessionBase, state: str) -> str:
    """The page the visitor came from; empty when this session did not ask."""
    question: dict[str, str] | None = session.get(QUESTION)
    if question is None or not constant_time_compare(state, question["state"]):
        return ""
    del session[QUESTION]
    return question["back"]


def learn_payer(session: SessionBase, code: str) -> None:
    """Remember whose WeChat it is. Raises LoginFailed."""
    login = _login()
    if login is None:
        return
    try:
        session[PAYER] = [login.app_id, login.openid(code)]
    except LoginFailed as error:
        log.warning("WeChat did not say who pays: %s", error)
        raise


def _login() -> WebLogin | None:
    """The official account, when it is completely configured."""
    section = WeChatSettings.load()
    try:
        secret = section.app_secret.reveal()
    except SecretUnreadable:
        return None
    if not (section.enabled and section.app_id and secret):
        return None
    api = settings.WECHAT_API_BASE_URL.rstrip("/") or BASE_URL
    return WebLogin(section.app_id, secret, settings.WECHAT_OAUTH_URL or PAGE, api)
