"""Users and their API keys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import PROTECT, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from voicehelper import clock
from voicehelper.admin.base import (
    Action,
    EstimatedPaginator,
    ReadOnlyAdmin,
    Report,
    change_url,
    may,
)
from voicehelper.admin.columns import column, link, linked, when
from voicehelper.admin.filters import Days, marks, username
from voicehelper.numbers import grouped
from voicehelper.wallet.models import Budget

from .. import services
from ..forms import clean_name
from ..models import ApiKey, ShareVisit, User
from . import permissions
from .customer_page import CustomerPage, may_help
from .deletions import end_deletion, leaving_actions, start_deletion
from .minors import minors_action, minors_off, minors_on
from .user_inlines import TokenInline, WeChatInline

if TYPE_CHECKING:
    _DjangoUserAdmin = DjangoUserAdmin[User]
else:
    _DjangoUserAdmin = DjangoUserAdmin

# Whoever may set these may do everything; that stays with superusers.
_POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


class NamingForm(UserCreationForm):  # type: ignore[misc]  # unfold has no types
    """A new user, whose name looks like nobody's."""

    def clean_username(self) -> str:
        return clean_name(self, super().clean_username())


class GivenPasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]  # unfold has no types
    """A password for somebody else, who chooses another at the next sign-in."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        user.password_given = user.has_usable_password()
        if commit:
            user.save()
        return user


class RenamingForm(UserChangeForm):  # type: ignore[misc]  # unfold has no types
    """A user's facts. Who has a name already keeps it."""

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        return clean_name(self, name, self.instance) if "username" in self.changed_data else name


@admin.register(User)
class UserAdmin(_DjangoUserAdmin, CustomerPage):
    form = RenamingForm
    add_form = NamingForm
    change_password_form = GivenPasswordForm
    change_form_template = "admin/accounts/user/change_form.html"
    list_display = ("username", "email", "group", "num_balance", "is_active", "is_staff", "time_joined")
    list_filter = (
        marks(
            _("state"),
            "active",
            {
                "yes": (_("Active"), Q(is_active=True)),
                "no": (_("Deactivated"), Q(is_active=False)),
                "staff": (_("Operators"), Q(is_staff=True)),
                "leaving": (_("To be deleted"), Q(leaving_at__isnull=False)),
            },
        ),
        ("date_joined", Days),
    )
    list_filter_submit = True
    list_select_related = ("wallet",)
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = EstimatedPaginator
    ordering = ("-pk",)
    sortable_by = ("username", "time_joined")
    time_joined = when("date_joined", _("joined"))
    confirmed = when("email_verified_at", _("email confirmed"))
    time_leaving = when("leaving_at", _("to be deleted"))
    time_login = when("last_login", _("last sign-in"))
    search_fields = ("username", "email")
    actions = ("revoke_selected",)
    inlines = (WeChatInline, TokenInline)
    readonly_fields = (
        *("balance", "confirmed", "passkey_names"),
        *("time_login", "time_joined", "invited_by", "time_leaving"),
    )
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password", "email", "confirmed", "passkey_names", "group", "balance")}),
        (_("Access"), {"fields": ("is_active", *_POWERS)}),
        (_("Dates"), {"fields": ("time_login", "time_joined", "invited_by", "time_leaving")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "group", "password1", "password2")}),)
    # For superusers: a new operator in one go.
    add_powers = ((_("Operator"), {"fields": ("groups",), "description": _("Tick none for an ordinary user.")}),)

    @admin.display(description=_("balance"))
    def num_balance(self, user: User) -> str:
        wallet = getattr(user, "wallet", None)
        return grouped(wallet.balance) if wallet else "—"

    @admin.display(description=_("balance"))
    def balance(self, user: User) -> SafeString | str:
        wallet = getattr(user, "wallet", None)
        return link(change_url(wallet), grouped(wallet.balance)) if wallet else "—"

    @admin.display(description=_("invited by"))
    def invited_by(self, user: User) -> SafeString | str:
        visit = ShareVisit.objects.filter(visitor=user, signed_up=True).select_related("share__user").first()
        return link(change_url(visit.share.user), visit.share.user) if visit else "—"

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """An address that an operator typed is nobody's until a link sent there was opened."""
        if "email" in form.changed_data:
            obj.email_verified_at = None
        if not change:
            obj.password_given = obj.has_usable_password()
            obj.is_staff = bool(form.cleaned_data.get("groups"))
        super().save_model(request, obj, form, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        response = super().user_change_password(request, id, form_url)
        # One's own is one's own choice.
        if id == str(request.user.pk):
            User.objects.filter(pk=request.user.pk).update(password_given=False)
        return response

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None and request.user.is_superuser:
            return (*self.add_fieldsets, *self.add_powers)
        found: Any = super().get_fieldsets(request, obj)
        if obj is None or obj.is_staff:
            return found
        # Single permissions are an operator's; a hundred boxes would bury a customer's page.
        single = "user_permissions"
        return [
            (title, {**facts, "fields": [one for one in facts["fields"] if one != single]}) for title, facts in found
        ]

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "user_permissions":
            return permissions.field_for(request, "user", label=_("Permissions besides the roles’"))
        if db_field.name == "groups":
            return permissions.RolesField(Group.objects.order_by("pk"), required=False, label=_("Roles"))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *_POWERS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only a superuser changes another operator: a password set for somebody is that somebody's power."""
        mine = obj is None or obj.pk == request.user.pk or request.user.is_superuser
        return super().has_change_permission(request, obj) and (mine or not (obj.is_staff or obj.is_superuser))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody who ever had a wallet or an order is deleted: deactivate instead."""
        return obj is not None and super().has_delete_permission(request, obj) and not _has_history(obj)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return may(request, User, "change") or request.user.has_perm("accounts.help_user")

    def actions_for(self, request: HttpRequest, record: User) -> Sequence[Action]:
        """Who may change the user may also do what outlasts the call: minors' mode, and deletion."""
        helping = super().actions_for(request, record)
        if not self.has_change_permission(request, record):
            return helping
        return [*helping, minors_action(record), *leaving_actions(record)]

    def do_minors_on(self, request: HttpRequest, user: User, reason: str) -> Report:
        return minors_on(request, user)

    def do_minors_off(self, request: HttpRequest, user: User, reason: str) -> Report:
        return minors_off(user)

    def do_delete_account(self, request: HttpRequest, user: User, reason: str) -> Report:
        return start_deletion(request, user, reason)

    def do_keep_account(self, request: HttpRequest, user: User, reason: str) -> Report:
        return end_deletion(user)

    @admin.action(description=_("Revoke all tokens of the selected users"), permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = [user for user in queryset if may_help(request, user)]
        for user in users:
            messages.success(request, f"{user}: {self.do_revoke(request, user, '').text}")
            self.log_change(request, user, gettext("Revoke all tokens"))


def _has_history(user: User) -> bool:
    """Whether something that must not be lost points at the user: the operators' log is kept by the database."""
    found = user._meta.related_objects
    relations = [each for each in found if each.on_delete is PROTECT or each.related_model is LogEntry]
    return any(
        relation.related_model._default_manager.filter(**{relation.field.name: user}).exists() for relation in relations
    )


_LIMITS = ("num_spent", "num_calls", "num_tokens", "models", "addresses")


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Users' keys for /v1: their text exists nowhere, and an operator can only end them."""

    time_created = when("created", _("created"))
    time_used = when("last_used_at", _("last used"))
    time_revoked = when("revoked_at", _("revoked"))
    user_link = linked("user", _("user"))
    time_expires = when("expires_at", _("expires"))
    list_display = (
        "name",
        "shown_key",
        "user",
        "num_spent",
        "time_created",
        "time_used",
        "time_expires",
        "time_revoked",
    )
    list_filter = (
        marks(
            _("state"),
            "state",
            {"valid": (_("Valid"), Q(revoked_at=None)), "revoked": (_("Revoked"), Q(revoked_at__isnull=False))},
        ),
        username(),
        ("created", Days),
    )
    list_select_related = ("user", "budget")
    ordering = ("-pk",)
    search_fields = ("user__username",)  # what is searched really is in find
    search_help_text = _("User name, or the last four characters of a key")
    fields = ("name", "shown_key", "user_link", *_LIMITS, "time_created", "time_used", "time_expires", "time_revoked")

    shown_key = column(_("key"), lambda key: key.shown)
    num_spent = column(_("quota used"), lambda key: _spent(key))
    num_calls = column(_("calls per minute"), lambda key: _most(key, "rpm"))
    num_tokens = column(_("tokens per minute"), lambda key: _most(key, "tpm"))
    models = column(_("models"), lambda key: ", ".join(key.model_names) or gettext("all"))
    addresses = column(_("addresses"), lambda key: ", ".join(key.addresses) or gettext("any"))

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        key = term.lstrip("·…")
        return rows.filter(Q(user__username=key) | Q(last4=key)) if key else rows

    def actions_for(self, request: HttpRequest, record: ApiKey) -> Sequence[Action]:
        if not may(request, ApiKey, "change"):
            return ()
        refusal = gettext("It is revoked already.") if record.revoked_at else ""
        hint = gettext("Programs that use it are refused at once. It cannot be undone; the user can make another key.")
        return [Action("revoke", gettext("Revoke this key"), hint=hint, refusal=refusal, asks_reason=True)]

    def do_revoke(self, request: HttpRequest, key: ApiKey, reason: str) -> Report:
        done = services.revoke_api_key(key.user, key.pk)
        return Report(done, gettext("The key is revoked.") if done else gettext("It is revoked already."))


def _spent(key: ApiKey) -> str:
    """What is used of what, in the present period."""
    budget = key.budget or Budget()
    used = grouped(budget.counted(clock.now())[0])
    return used if budget.quota is None else f"{used} / {grouped(budget.quota)} {budget.get_period_display()}"


def _most(key: ApiKey, name: str) -> str:
    most = getattr(key.budget, name, None)
    return gettext("unlimited") if most is None else grouped(most)
