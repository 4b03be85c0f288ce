"""api.weixin.qq.com for mini programs: `wx.login`'s code becomes who somebody is; an app proves its secret.

As strict as the real one: GET and POST are not exchanged, a code is good for one use, five minutes and one app, unionid
comes only with an Open Platform account. Every answer is HTTP 200 with JSON that calls itself text/plain.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .base import Faults
from .calls import WEB_PAGE
from .faults import BadScript, take
from .messengers import same
from .models import LoginCode, Script, WeChatApp
from .views import posted, same_site

CODE_LIFE = timedelta(minutes=5)
TOKEN_LIFE_S = 7200

Fields = dict[str, Any]


class Errcode(Exception):
    """WeChat says no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.answer: Fields = {"errcode": code, "errmsg": f"{text}, rid: {secrets.token_hex(4)}"}


@same_site
@require_POST
def issue_code(request: HttpRequest) -> HttpResponse:
    """`wx.login` on the phone of `person` (any name) in the mini program `appId` (default: the first): a fresh code."""
    try:
        data = {name: str(value) for name, value in posted(request).items()}
    except BadScript as error:
        return JsonResponse({"error": str(error)}, status=400)
    apps = WeChatApp.objects.filter(website=False).order_by("pk")
    app = (apps.filter(app_id=data["appId"]) if data.get("appId") else apps).first()
    person = data.get("person", "").strip() or "demo"
    if app is None or len(person) > 64 or "\0" in person:
        return JsonResponse({"error": "There is no such app, or no such person."}, status=400)
    made = LoginCode.objects.create(app=app, person=person, code=f"0{secrets.token_urlsafe(23)}")
    return JsonResponse({"errMsg": "login:ok", "code": made.code, "appId": app.app_id}, status=201)


@csrf_exempt
def code_to_session(request: HttpRequest) -> HttpResponse:
    """GET /sns/jscode2session."""
    return _serve("login", lambda: _login(request))


@csrf_exempt
def stable_token(request: HttpRequest) -> HttpResponse:
    """POST /cgi-bin/stable_token."""
    return _serve("token", lambda: _token(request))


def _serve(operation: str, work: Callable[[], Fields]) -> HttpResponse:
    """Answer one call, or misbehave as the scripts say."""
    faults = take(Script.Speaker.WEIXIN, operation, "")
    hold = faults.get("timeout", {"seconds": 0, "after_work": False})
    if not hold["after_work"]:
        time.sleep(float(hold["seconds"]))
    response = _respond(faults, work)
    if hold["after_work"]:
        time.sleep(float(hold["seconds"]))
    return response


def _respond(faults: Faults, work: Callable[[], Fields]) -> HttpResponse:
    for name, instead in (("http_500", "Internal Server Error"), ("html", WEB_PAGE)):
        if name in faults:
            if faults[name]["after_work"]:
                _attempt(work)
            return HttpResponse(instead, status=500 if name == "http_500" else 200)
    scripted = faults.get("errcode")
    answer = Errcode(int(scripted["code"]), "scripted").answer if scripted else _attempt(work)
    body = json.dumps(answer).encode()
    return HttpResponse(body[: len(body) // 2] if "half_body" in faults else body, content_type="text/plain")


def _attempt(work: Callable[[], Fields]) -> Fields:
    try:
        return work()
    except Errcode as error:
        return error.answer


def _login(request: HttpRequest) -> Fields:
    """The real one reads the query of a POST no more than a form in a GET: it misses the app id."""
    query = request.GET if request.method == "GET" else {}
    app = _app(query)
    code = query.get("js_code", "")
    if not code:
        raise Errcode(41008, "missing code")
    if query.get("grant_type") != "authorization_code":
        raise Errcode(40002, "invalid grant_type")
    now = timezone.now()
    found = LoginCode.objects.filter(app=app, code=code).first()
    if found is None or found.created_at <= now - CODE_LIFE:
        raise Errcode(40029, "invalid code")
    if not found.use(now):
        raise Errcode(40163, "code been used")
    session: Fields = {"session_key": base64.b64encode(secrets.token_bytes(16)).decode()}
    session["openid"] = id_of(found.person, app.app_id)
    if app.open_platform:
        session["unionid"] = id_of(found.person, app.open_platform)
    return session


def _token(request: HttpRequest) -> Fields:
    if request.method != "POST":
        raise Errcode(43002, "require POST method")
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Errcode(47001, "data format error")
    app = _app(asked)
    if asked.get("grant_type") != "client_credential":
        raise Errcode(40002, "invalid grant_type")
    if app.allowed_address not in ("", request.META.get("REMOTE_ADDR")):
        raise Errcode(40164, f"invalid ip {request.META.get('REMOTE_ADDR')}, not in whitelist")
    return {"access_token": secrets.token_urlsafe(96), "expires_in": TOKEN_LIFE_S}


def _app(given: Mapping[str, Any]) -> WeChatApp:
    """The app that proves itself with its secret. Raises Errcode."""
    app_id, secret = str(given.get("appid") or ""), str(given.get("secret") or "")
    if not app_id:
        raise Errcode(41002, "appid missing")
    if not secret:
        raise Errcode(41004, "appsecret missing")
    app = WeChatApp.objects.filter(app_id=app_id.replace("\0", ""), website=False).first()
    if app is None:
        raise Errcode(40013, "invalid appid")
    if not same(secret, app.secret):
        raise Errcode(40125, "invalid appsecret")
    return app


def id_of(person: str, realm: str) -> str:
    """Always the same for a person in an app or an Open Platform account: 28 characters that begin with o."""
    digest = hashlib.sha256(f"{realm} {person}".encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest).decode()[:27]
