"""How the admin looks: django-unfold's settings."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _shades(colours: str) -> dict[str, str]:
    names = (50, *range(100, 1000, 100), 950)
    return {str(name): f"#{colour}" for name, colour in zip(names, colours.split(), strict=True)}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "VoiceHelper",
    "SITE_HEADER": "VoiceHelper",
    "SITE_SYMBOL": "graphic_eq",
    "SITE_URL": reverse_lazy("topup:recharge"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/logo.svg")}],
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "voicehelper.admin.menu.environment",
    "DASHBOARD_CALLBACK": "voicehelper.admin.front_page.context",
    # The gateways' colours are not in a file: the gateways know them.
    "STYLES": [lambda request: static("admin_ext/admin.css"), reverse_lazy("topup:colours")],
    "SCRIPTS": [lambda request: static("admin_ext/admin.js")],
    "SIDEBAR": {"navigation": "voicehelper.admin.menu.navigation"},
    # The colours of static/css/app.css: one accent, warm greys in light, cool ones in dark.
    "COLORS": {
        "base": _shades("f7f6f3 f3f1ed e7e3dc d3cec5 a19aa9 6f685e 5d574e 423e39 312e36 1c1b1f 131215"),
        "primary": _shades("f4f0fd ebe4fb d9ccf7 c3adf2 b79dff 9473e6 6a3fc8 5a31b4 482891 3b2374 241447"),
    },
}
