"""WeChat's OAuth for pages in its own browser: who the visitor is, without asking (snsapi_base).

As strict as the real one: the order of the parameters counts, only WeChat's browser is let in, only the official
account itself may ask, a code is good for one use and five minutes. Answers about codes are JSON named text/plain.
"""

import hmac
import json
import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from .base import is_loopback
from .models import GatewayName, Merchant, WebCode, WeChatApp
from .wechat_apps import openid_of

CODE_LIFE = timedelta(minutes=5)
ASKED = ["appid", "redirect_uri", "response_type", "scope", "state"]


@require_GET
def authorize(request: HttpRequest) -> HttpResponse:
    """/connect/oauth2/authorize: back to the page with a code."""
    pairs = parse_qsl(request.META["QUERY_STRING"], keep_blank_values=True)
    asked = dict(pairs)
    if "MicroMessenger/" not in request.headers.get("User-Agent", ""):
        return _no(request, "请在微信客户端打开链接")
    if [name for name, _value in pairs] != ASKED or asked["response_type"] != "code":
        return _no(request, "Oops! Something went wrong:( 链接参数或其顺序不对")
    if asked["scope"] != "snsapi_base" or not re.fullmatch(r"[0-9A-Za-z]{0,128}", asked["state"]):
        return _no(request, "Scope 参数错误或没有 Scope 权限")
    if not Merchant.objects.filter(gateway=GatewayName.WECHAT, app_id=asked["appid"]).exclude(app_secret="").exists():
        return _no(request, "AppID 参数错误")
    if not is_loopback(asked["redirect_uri"]):
        return _no(request, "redirect_uri 域名与后台配置不一致")
    code = f"0{secrets.token_urlsafe(23)}"
    WebCode.objects.create(code=code, app_id=asked["appid"], openid=openid_of("demo", asked["appid"]))
    back, mark = asked["redirect_uri"], "&" if "?" in asked["redirect_uri"] else "?"
    return HttpResponseRedirect(f"{back}{mark}{urlencode({'code': code, 'state': asked['state']})}")


def _no(request: HttpRequest, text: str) -> HttpResponse:
    facts = {"code": "", "problem": text, "trades": []}
    return render(request, "sandbox/phone.html", facts, status=400)


@require_GET
def access_token(request: HttpRequest) -> HttpResponse:
    """/sns/oauth2/access_token: a code becomes an openid."""
    return HttpResponse(json.dumps(_exchange(request.GET.dict())), content_type="text/plain")


def _exchange(asked: dict[str, str]) -> dict[str, Any]:
    for name, errcode in (("appid", 41002), ("secret", 41004), ("code", 41008)):
        if not asked.get(name):
            return _error(errcode, f"{name} missing")
    if asked.get("grant_type") != "authorization_code":
        return _error(40002, "invalid grant_type")
    secret = _secret_of(asked["appid"])
    if secret is None:
        return _error(40013, "invalid appid")
    if not hmac.compare_digest(asked["secret"].encode(), secret.encode()):
        return _error(40125, "invalid appsecret")
    now = timezone.now()
    found = WebCode.objects.filter(code=asked["code"], app_id=asked["appid"]).first()
    if found is None or found.created_at <= now - CODE_LIFE:
        return _error(40029, "invalid code")
    if not found.use(now):
        return _error(40163, "code been used")
    tokens = {"access_token": secrets.token_urlsafe(64), "expires_in": 7200, "refresh_token": secrets.token_urlsafe(64)}
    if found.unionid:
        return tokens | {"openid": found.openid, "scope": "snsapi_login", "unionid": found.unionid}
    return tokens | {"openid": found.openid, "scope": "snsapi_base"}


def _secret_of(app_id: str) -> str | None:
    """An official account's, or a website app's."""
    merchant = Merchant.objects.filter(gateway=GatewayName.WECHAT, app_id=app_id).first()
    if merchant is not None:
        return merchant.app_secret
    return WeChatApp.objects.filter(app_id=app_id, website=True).values_list("secret", flat=True).first()


def _error(errcode: int, text: str) -> dict[str, Any]:
    return {"errcode": errcode, "errmsg": f"{text}, rid: {secrets.token_hex(4)}"}
