"""What a user's page shows beside the form: tokens and WeChat identities."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import may, nobody
from voicehelper.admin.columns import column, linked, when

from ..models import AccessToken, User, WeChatIdentity

if TYPE_CHECKING:
    _Inline = admin.TabularInline[Any, User]
else:
    from unfold.admin import TabularInline as _Inline


class _ReadOnlyInline(_Inline):
    """What a user's page shows and nobody changes there."""

    hide_title = True
    ordering = ("-pk",)
    extra = max_num = 0
    can_delete = False
    per_page = 10

    has_add_permission = has_change_permission = nobody

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request, User, "view") or may(request, User, "change")


class TokenInline(_ReadOnlyInline):
    """When a user's tokens were made and used; their text exists nowhere."""

    model = AccessToken
    time_created = when("created", _("created"))
    time_expires = when("expires_at", _("expires"))
    time_used = when("last_used_at", _("last used"))
    time_revoked = when("revoked_at", _("revoked"))
    user_link = linked("user", _("user"))
    fields = readonly_fields = ("time_created", "time_expires", "time_used", "time_revoked")


class WeChatInline(_ReadOnlyInline):
    """Who a user is to WeChat's apps; enough of an openid to tell two apart."""

    model = WeChatIdentity
    time_created = when("created", _("created"))
    time_seen = when("seen_at", _("last seen"))
    fields = readonly_fields = ("app_id", "short_openid", "in_union", "time_created", "time_seen")

    short_openid = column(_("openid"), lambda identity: _shortened(identity.openid))
    in_union = column(_("unionid"), lambda identity: _shortened(identity.unionid) if identity.unionid else "—")


def _shortened(text: str) -> str:
    return f"{text[:4]}…{text[-4:]}"
