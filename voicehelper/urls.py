"""All routes. The sandbox is mounted only when SANDBOX is set; nothing else knows that it exists."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from llm.pages.front import home

from . import health, metrics
from .admin import finding
from .api.handbook import handbook

handler404 = "voicehelper.api.nowhere.not_found"
handler500 = "voicehelper.api.nowhere.server_error"

urlpatterns = [
    path("", home, name="home"),
    path("", include("voicehelper.accounts.urls")),
    path("", include("voicehelper.wallet.urls")),
    path("", include("topup.urls")),
    path("", include("storage_backends.urls")),
    path("", include("llm.pages.urls")),
    path("", include("llm.urls")),
    path("admin/find/", admin.site.admin_view(finding.view), name="find"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", handbook, name="docs"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
if settings.SANDBOX:
    urlpatterns.append(path("sandbox/", include("sandbox.urls")))
