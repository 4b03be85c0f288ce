"""A customer's page: what the customer on the phone asks about, and what an operator may do for them.

Helping (`accounts.help_user`) is less than changing a user: nobody who may only help sets an address, a password or a
price. Only a superuser does any of it to another operator.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext

from notifications.mail import can_mail
from voicehelper.admin import customer
from voicehelper.admin.base import Action, Report, change_url, list_url, may, operator, url_name
from voicehelper.admin.columns import label, link, moment
from voicehelper.admin.customer import CustomerTable, Heading

from .. import notes, recovery, second_factor, services, sessions
from ..models import AccessToken, ApiKey, User, UserNote
from .sign_in_actions import SignInActions

ROWS = 6


def may_help(request: HttpRequest, user: User) -> bool:
    """Whether the operator may help this user."""
    mine = user.pk == request.user.pk or request.user.is_superuser
    power = request.user.has_perm("accounts.help_user") or may(request, User, "change")
    return power and (mine or not (user.is_staff or user.is_superuser))


class CustomerPage(SignInActions):
    """Buttons, notes and tables on a user's page."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.note)
        return [path("<path:object_id>/note/", view, name=url_name(self, "note")), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        user = kwargs.get("obj")
        if user is not None:
            context |= customer.context(request, user) | {
                "customer": user,
                "marks": list(_marks(user)),
                "customer_facts": list(_facts(user)),
                "notes": notes.notes_of(user)[:50],
                "note_url": reverse(f"admin:{url_name(self, 'note')}", args=[user.pk])
                if may(request, UserNote, "add")
                else "",
                "note_chars": notes.MOST_CHARS,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    # --- Notes -------------------------------------------------------------------------------------------------------
    def note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write something down for the next operator."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (may(request, UserNote, "add") and self.has_view_permission(request)):
            raise PermissionDenied
        user = User.objects.filter(pk=object_id if object_id.isdecimal() and len(object_id) < 19 else 0).first()
        if user is None:
            raise Http404
        try:
            notes.add_note(user, request.POST.get("text", ""), by=operator(request))
        except ValueError as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, user, gettext("Wrote a note."))
            messages.success(request, gettext("The note is kept."))
        return HttpResponseRedirect(f"{change_url(user)}#notes")

    # --- Buttons -----------------------------------------------------------------------------------------------------
    def actions_for(self, request: HttpRequest, record: User) -> Sequence[Action]:
        elsewhere = customer.buttons(request, record)
        if not may_help(request, record):
            return elsewhere
        alive = AccessToken.objects.filter(user=record, revoked_at=None).exists()
        refusal = "" if alive else gettext("There is no valid token.")
        hint = gettext("Every program of this user has to sign in again.")
        return [
            *elsewhere,
            self._reset_action(record),
            self._sign_out_action(),
            Action("revoke", gettext("Revoke all tokens"), hint=hint, refusal=refusal),
            *self.sign_in_actions(record),
            self._active_action(request, record),
        ]

    def _sign_out_action(self) -> Action:
        hint = gettext("Ends every browser and every program of this user at once. Keys stay valid.")
        return Action("sign_out", gettext("Sign out everywhere"), hint=hint)

    def do_sign_out(self, request: HttpRequest, user: User, reason: str) -> Report:
        sessions.end_all(user)
        return Report(True, gettext("Everything that was signed in is not any more."))

    def _active_action(self, request: HttpRequest, user: User) -> Action:
        if not user.is_active:
            hint = gettext("Sign-in and keys work again.")
            return Action("activate", gettext("Activate again"), hint=hint, asks_reason=True)
        refusal = gettext("That is yourself.") if user.pk == request.user.pk else ""
        hint = gettext("Sign-in and keys are refused at once. Balance and orders stay, and it can be undone.")
        return Action("deactivate", gettext("Deactivate"), hint=hint, refusal=refusal, asks_reason=True)

    def do_deactivate(self, request: HttpRequest, user: User, reason: str) -> Report:
        done = services.set_active(user, False)
        return Report(done, gettext("The user is deactivated.") if done else gettext("This user is deactivated."))

    def do_activate(self, request: HttpRequest, user: User, reason: str) -> Report:
        done = services.set_active(user, True)
        return Report(done, gettext("The user is active again.") if done else gettext("This user is active."))

    def _reset_action(self, user: User) -> Action:
        refusal = ""
        if not can_mail():
            refusal = gettext("No channel sends mail to users: switch it on under Alert channels → Email.")
        elif not user.email:
            refusal = gettext("Enter an email address and save first.")
        elif not user.is_active:
            refusal = gettext("This user is deactivated.")
        hint = gettext("Mails a link to this address, good once and for an hour. Be sure that it is this person’s.")
        return Action("send_reset", gettext("Send a link for a new password"), hint=hint, refusal=refusal)

    def do_send_reset(self, request: HttpRequest, user: User, reason: str) -> Report:
        recovery.send_link(user)
        return Report(True, gettext("A link is on its way to %(address)s.") % {"address": user.email})

    def do_revoke(self, request: HttpRequest, user: User, reason: str) -> Report:
        count = services.revoke_tokens(user)
        return Report(True, ngettext("%(count)d token revoked.", "%(count)d tokens revoked.", count) % {"count": count})


def _marks(user: User) -> Any:
    """What stands beside the name."""
    yield label("success", gettext("Active")) if user.is_active else label("danger", gettext("Deactivated"))
    if user.is_staff or user.is_superuser:
        yield label("info", gettext("Operator"))
    if second_factor.is_on(user):
        yield label("default", gettext("Two-step sign-in"))


def _facts(user: User) -> Any:
    """What stands below it."""
    yield gettext("Price group"), user.group
    yield gettext("Joined"), moment(user.date_joined)
    yield gettext("Last sign-in"), moment(user.last_login)


# --- Tables ----------------------------------------------------------------------------------------------------------
def _headings(*texts: str) -> list[Heading]:
    return [Heading(text) for text in texts]


def keys(request: HttpRequest, user: User) -> CustomerTable | None:
    if not may(request, ApiKey, "view"):
        return None
    titles = gettext("Name"), gettext("Key"), gettext("Created"), gettext("Last used"), gettext("State")
    valid_first = ApiKey.objects.filter(user=user).order_by(F("revoked_at").desc(nulls_first=True), "-pk")
    rows = [
        (
            link(change_url(key), key.name),
            key.shown,
            moment(key.created),
            moment(key.last_used_at),
            label("default", gettext("Revoked")) if key.revoked_at else label("success", gettext("Valid")),
        )
        for key in valid_first[:ROWS]
    ]
    every = list_url(ApiKey, username=user.username)
    return CustomerTable(gettext("API keys"), _headings(*titles), rows, gettext("No key was ever made."), every)


def browsers(request: HttpRequest, user: User) -> CustomerTable | None:
    titles = gettext("Browser"), gettext("Address"), gettext("Signed in"), gettext("Last seen")
    rows = [
        (sessions.device_of(one.user_agent), one.address, moment(one.created), moment(one.seen_at))
        for one in sessions.browsers_of(user)[:ROWS]
    ]
    return CustomerTable(gettext("Signed in with"), _headings(*titles), rows, gettext("No browser is signed in."))


def changes(request: HttpRequest, user: User) -> CustomerTable | None:
    """What operators did to this user."""
    if not may(request, LogEntry, "view"):
        return None
    about = ContentType.objects.get_for_model(User)
    found = LogEntry.objects.filter(content_type=about, object_id=str(user.pk)).select_related("user")
    rows = [
        (link(change_url(entry), moment(entry.action_time)), entry.user.get_username(), entry.get_change_message())
        for entry in found.order_by("-action_time")[:ROWS]
    ]
    titles = gettext("Time"), gettext("Who"), gettext("What")
    empty = gettext("No operator changed anything here.")
    return CustomerTable(gettext("What operators did"), _headings(*titles), rows, empty)


def join() -> None:
    customer.shows(60, keys)
    customer.shows(70, browsers)
    customer.shows(90, changes)
