"""To WeChat and back, in WeChat's own browser: see services/wechat_payer.py."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper.accounts.wechat.base import LoginFailed

from ..services import wechat_payer

LONGEST_CODE = 512


@never_cache
@login_required
@require_safe
def answer(request: HttpRequest) -> HttpResponse:
    """Back from WeChat; on to the page the visitor came from, whatever came of it."""
    back = wechat_payer.close_question(request.session, request.GET.get("state", ""))
    if not back:
        return redirect("topup:recharge")
    if code := request.GET.get("code", "")[:LONGEST_CODE]:
        try:
            wechat_payer.learn_payer(request.session, code)
        except LoginFailed:
            messages.warning(request, _("WeChat did not tell us who you are, so it cannot open the payment by itself."))
    return redirect(back)
