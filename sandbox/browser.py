"""Browsers that are not at hand: a phone's, and WeChat's own. A cookie says which one this browser plays.

The middleware does what the real ones do by themselves: it says another User-Agent, and WeChat's puts its bridge into
every page. It is mounted with the sandbox alone.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from .views import same_site

COOKIE = "sandbox_browser"
_PHONE = (
    "Mozilla/5.0 (Linux; Android 14; 23127PN0CC) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0"
)
USER_AGENTS = {
    "phone": f"{_PHONE} Mobile Safari/537.36",
    "wechat": f"{_PHONE} Mobile Safari/537.36 MicroMessenger/8.0.49.2600(0x28003133) WeChat/arm64 NetType/WIFI",
}
CHOICES = (
    ("phone", gettext_lazy("A phone’s browser")),
    ("wechat", gettext_lazy("Inside WeChat")),
    ("", gettext_lazy("This browser as it is")),
)


@same_site
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Play `browser` from now on, and go to the shop or `next`."""
    wanted = request.POST.get("next", "")
    local = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    response = HttpResponseRedirect(wanted if local else "/recharge")
    browser = request.POST.get("browser", "")
    if browser in USER_AGENTS:
        response.set_cookie(COOKIE, browser, httponly=True, samesite="Lax")
    else:
        response.delete_cookie(COOKIE, samesite="Lax")
    return response


class PlayedBrowser:
    """Says the User-Agent of the browser that is played, and adds what it adds to pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        browser = request.COOKIES.get(COOKIE, "")
        if browser not in USER_AGENTS:
            return self.get_response(request)
        request.META["HTTP_USER_AGENT"] = USER_AGENTS[browser]
        response = self.get_response(request)
        page = response.headers.get("Content-Type", "").startswith("text/html")
        if page and isinstance(response, HttpResponse) and not request.path.startswith(("/sandbox/", "/admin/")):
            response.content = response.content.replace(b"</head>", _additions(browser).encode() + b"</head>", 1)
            if response.headers.get("Content-Length"):
                response.headers["Content-Length"] = str(len(response.content))
        return response


def _additions(browser: str) -> str:
    """A bar that says what is played; in WeChat its bridge as well."""
    return format_html(
        '<link rel="stylesheet" href="{}"><script src="{}" defer data-browser="{}" data-name="{}" data-leave="{}"'
        ' data-phone="{}" data-pay="{}" data-jsapi="{}" data-cancel="{}"></script>',
        static("sandbox/browser.css"),
        static("sandbox/browser.js"),
        browser,
        _("Simulated: a phone’s browser") if browser == "phone" else _("Simulated: inside WeChat"),
        _("Leave"),
        reverse("sandbox:phone"),
        _("Pay"),
        reverse("sandbox:wechat_jsapi"),
        _("Cancel"),
    )
