"""Where a buyer pays without scanning: WeChat's H5 page, an app (JSAPI), Alipay's wap and desktop pages; and where the
merchant's staff give money back.
"""

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from . import alipay, buyer, refunds
from .alipay_parameters import PRODUCTS
from .base import Call, Refusal, Unsigned
from .faults import BadScript
from .models import GatewayName, Trade
from .phone import way_back
from .views import alipay_gateway, posted, same_site, wants_json
from .wechat_apps import app_of
from .wechat_v3 import protocol
from .wechat_xml import sign

# An mweb_url is good for so long.
MWEB_LIFE = timedelta(minutes=5)


@require_GET
def h5(request: HttpRequest) -> HttpResponse:
    """`mweb_url`: must be opened from the shop's own page, within five minutes."""
    if not request.headers.get("Referer"):
        return _no(request, "商家参数格式有误，请联系商家解决（没有Referer）")
    if "MicroMessenger/" in request.headers.get("User-Agent", ""):
        return _no(request, "请在微信外打开订单，进行支付")
    trade = Trade.objects.select_related("merchant").filter(prepay_id=request.GET.get("prepay_id", "-")).first()
    if trade is None or trade.params.get("trade_type") != "MWEB":
        return _no(request, "商家存在未配置的参数，请联系商家解决")
    site = urlsplit(_registered(trade)).netloc
    back = request.GET.get("redirect_url", "")
    if any(urlsplit(url).netloc != site for url in (request.headers["Referer"], back) if url):
        return _no(request, "商家存在未配置的参数，请联系商家解决（域名未登记）")
    made = request.GET.get("package", "")
    if not re.fullmatch(r"[0-9]{10}", made) or timezone.now().timestamp() > int(made) + MWEB_LIFE.total_seconds():
        return _no(request, "支付请求已失效，请重新发起支付")
    return _desk(request, trade, back)


def _registered(trade: Trade) -> str:
    """The shop's own page: v2 is told with each order, v3 knows it from the console, here from where notices go."""
    scene = trade.params["scene_info"]
    return str(json.loads(scene)["h5_info"]["wap_url"]) if isinstance(scene, str) else trade.notify_url


@csrf_exempt
def alipay_door(request: HttpRequest) -> HttpResponse:
    """`/gateway.do`: servers get answers, browsers (alipay.trade.wap.pay, alipay.trade.page.pay) a page to pay on."""
    if (request.GET.get("method") or request.POST.get("method")) not in PRODUCTS:
        return alipay_gateway(request)
    try:
        call = alipay.read(request, "")
        trade = _open_page(call)
    except Unsigned as refused:
        return _no(request, str(refused))
    except Refusal as refusal:
        return _no(request, refusal.text)
    return _desk(request, trade, call.params["return_url"])


def _open_page(call: Call) -> Trade:
    """alipay.trade.wap.pay and alipay.trade.page.pay: the buyer stands before the desk, so the trade exists at once."""
    if call.params.get("product_code") != PRODUCTS[call.method]:
        raise Refusal("ACQ.INVALID_PARAMETER", f"参数无效：product_code应为{PRODUCTS[call.method]}")
    trade = alipay.ordered(call)
    alipay.scan(trade, call.now)
    trade.refresh_from_db()
    return trade


def _desk(request: HttpRequest, trade: Trade, return_url: str) -> HttpResponse:
    """The phone's pay screen, and the way back to the shop, which proves nothing."""
    trade = buyer.scan(trade.code) or trade
    facts = {"trade": trade, "state": trade.state_now, "return_url": way_back(return_url)}
    return render(request, "sandbox/phone.html", facts)


def _no(request: HttpRequest, text: str) -> HttpResponse:
    facts = {"code": "", "problem": text, "trades": []}
    return render(request, "sandbox/phone.html", facts, status=400)


@same_site
@require_POST
def jsapi(request: HttpRequest) -> HttpResponse:
    """What the app does with the arguments of wx.requestPayment and its own appId: check the second signature, pay.
    With `look` it only says what the buyer is shown before."""
    try:
        data = {name: str(value) for name, value in posted(request).items()}
    except BadScript as error:
        return JsonResponse({"errMsg": f"requestPayment:fail {error}"}, status=400)
    trade = _prepaid(data)
    if trade is None:
        return JsonResponse({"errMsg": "requestPayment:fail 支付验证签名失败"}, status=400)
    if data.get("look"):
        return JsonResponse({"errMsg": "look:ok", "amount": trade.amount_yuan, "payee": trade.merchant.name})
    try:
        buyer.pay(trade)
    except buyer.CannotPay as refused:
        return JsonResponse({"errMsg": f"requestPayment:fail {refused}"}, status=409)
    return JsonResponse({"errMsg": "requestPayment:ok"})


def _prepaid(data: dict[str, str]) -> Trade | None:
    """The trade that rightly signed arguments are about."""
    prepay_id = data.get("package", "").removeprefix("prepay_id=")
    waiting = Trade.objects.select_related("merchant").filter(prepay_id=prepay_id or "-")
    trade = waiting.filter(merchant__gateway=GatewayName.WECHAT, params__trade_type="JSAPI").first()
    fields = {name: data.get(name, "") for name in ("appId", "timeStamp", "nonceStr", "package", "signType")}
    if trade is None or not re.fullmatch(r"[0-9]{10}", fields["timeStamp"]) or not all(fields.values()):
        return None
    if trade.sign_type == protocol.SIGN_TYPE:
        return trade if protocol.is_for_app(trade, data) else None
    right = (app_of(trade), trade.sign_type) == (fields["appId"], fields["signType"])
    signed = sign(fields, trade.merchant.api_key, trade.sign_type) == data.get("paySign")
    return trade if right and signed else None


@same_site
@require_POST
def refund(request: HttpRequest, pk: int) -> HttpResponse:
    """A refund made in the provider's console, past our server: all that is left, or `amount_fen`."""
    trade = get_object_or_404(Trade.objects.select_related("merchant"), pk=pk)
    asked: Any = posted(request).get("amount_fen")
    try:
        made = refunds.refund_in_console(trade, int(asked) if asked else None)
    except (refunds.CannotRefund, ValueError) as error:
        return JsonResponse({"error": str(error)}, status=409)
    if not wants_json(request):
        return HttpResponseRedirect(reverse("sandbox:overview") + "#trades")
    return JsonResponse({"out_refund_no": made.out_refund_no, "state": made.state}, status=201)
