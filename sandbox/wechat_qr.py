"""WeChat's QR code for websites: a page that shows it, the phone that scans it and asks, and the way back with a code.

As strict as the real one: the order of the parameters counts, the app must be a website app, the scope is snsapi_login,
the address to go back to must be the app's. The code on the screen is good for five minutes and one person.
"""

import re
import secrets
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import segno
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from .base import is_loopback
from .models import ScanLogin, WebCode, WeChatApp
from .views import same_site
from .wechat_login import id_of

SCAN_LIFE = timedelta(minutes=5)
ASKED = ["appid", "redirect_uri", "response_type", "scope", "state"]


@require_GET
def qrconnect(request: HttpRequest) -> HttpResponse:
    """/connect/qrconnect: the page with the code. It looks again every two seconds, without a script."""
    if request.GET.keys() == {"uuid"}:
        return _wait(request)
    pairs = parse_qsl(request.META["QUERY_STRING"], keep_blank_values=True)
    asked = dict(pairs)
    if [name for name, _value in pairs] != ASKED or asked["response_type"] != "code":
        return _no(request, "链接参数或其顺序不对")
    app = WeChatApp.objects.filter(app_id=asked["appid"].replace("\0", ""), website=True).first()
    if app is None:
        return _no(request, "AppID 参数错误")
    if asked["scope"] != "snsapi_login" or not re.fullmatch(r"[0-9A-Za-z_-]{0,128}", asked["state"]):
        return _no(request, "Scope 参数错误或没有 Scope 权限")
    back = asked["redirect_uri"]
    if not back.startswith(("http://", "https://")) or not is_loopback(back) or len(back) > 500:
        return _no(request, "redirect_uri 参数错误")
    scan = ScanLogin.objects.create(app=app, uuid=secrets.token_urlsafe(12), redirect_uri=back, state=asked["state"])
    return HttpResponseRedirect(f"{reverse('sandbox:wechat_qrconnect')}?uuid={scan.uuid}")


def _wait(request: HttpRequest) -> HttpResponse:
    scan = _scan(request.GET["uuid"])
    if scan is None:
        return _no(request, "二维码已过期，请返回重试")
    if scan.state_now == ScanLogin.WAITING:
        address = request.build_absolute_uri(f"{reverse('sandbox:wechat_confirm')}?uuid={scan.uuid}")
        picture = segno.make_qr(address).svg_data_uri(scale=8, border=2, dark="#000", light="#fff", omitsize=True)
        return render(request, "sandbox/qrconnect.html", {"scan": scan, "picture": picture})
    mark = "&" if "?" in scan.redirect_uri else "?"
    # Who refuses is sent back without a code.
    facts = {"code": _code_of(scan)} if scan.state_now == ScanLogin.ALLOWED else {}
    scan.delete()
    return HttpResponseRedirect(f"{scan.redirect_uri}{mark}{urlencode(facts | {'state': scan.state})}")


def _code_of(scan: ScanLogin) -> str:
    facts = {"app_id": scan.app.app_id, "openid": id_of(scan.person, scan.app.app_id)}
    facts["unionid"] = id_of(scan.person, scan.app.open_platform) if scan.app.open_platform else ""
    return WebCode.objects.create(code=f"0{secrets.token_urlsafe(23)}", **facts).code


def _scan(uuid: str) -> ScanLogin | None:
    alive = ScanLogin.objects.filter(created_at__gt=timezone.now() - SCAN_LIFE)
    return alive.filter(uuid=uuid.replace("\0", "")).select_related("app").first()


@same_site
def confirm(request: HttpRequest) -> HttpResponse:
    """The phone, which has scanned: GET asks, POST {uuid, person, answer: allow or cancel} answers."""
    scan = _scan(request.POST.get("uuid", "") or request.GET.get("uuid", ""))
    if scan is None or scan.state_now != ScanLogin.WAITING:
        return _no(request, "二维码已失效，请刷新后重新扫描")
    if request.method != "POST":
        return render(request, "sandbox/confirm.html", {"scan": scan})
    return _answer(request, scan)


@require_POST
def _answer(request: HttpRequest, scan: ScanLogin) -> HttpResponse:
    person = request.POST.get("person", "").strip() or "demo"
    if len(person) > 64:
        return _no(request, "参数错误")
    state = ScanLogin.ALLOWED if request.POST.get("answer") == "allow" else ScanLogin.REFUSED
    waiting = ScanLogin.objects.filter(pk=scan.pk, state_now=ScanLogin.WAITING)
    if not waiting.update(person=person, state_now=state):
        return _no(request, "二维码已失效，请刷新后重新扫描")
    return render(request, "sandbox/confirm.html", {"done": True, "allowed": state == ScanLogin.ALLOWED})


def _no(request: HttpRequest, text: str) -> HttpResponse:
    facts = {"code": "", "problem": text, "trades": []}
    return render(request, "sandbox/phone.html", facts, status=400)
