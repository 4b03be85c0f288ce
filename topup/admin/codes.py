"""Redemption codes: making a batch, its file, and what became of it. A made batch is never changed, only revoked."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import stepup
from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, may, operator, url_name
from voicehelper.admin.columns import moment, when
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns, csv_file
from voicehelper.wallet.worth import in_yuan, list_price

from .. import services
from ..models import CodeBatch
from ..services.redeeming import code_typed


@admin.register(CodeBatch)
class CodeBatchAdmin(ReadOnlyAdmin):
    list_display = ("name", "num_quota", "progress", "time_expires", "state", "time_created", "created_by")
    ordering = ("-pk",)
    search_fields = ("name",)
    search_help_text = _("Name of the batch, or one of its codes")
    change_form_template = "admin/topup/codebatch/change_form.html"
    add_form_template = "admin/change_form.html"
    time_created = when("created", _("created"))
    time_expires = when("expires_at", _("expires"))
    made = ("name", "num_quota", "progress", "time_expires", "state", "time_created", "created_by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Codes are money: making them is for those who may add batches, by Django's own permission.
        return request.user.has_perm("topup.add_codebatch")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("name", "quota", "count", "expires_at") if obj is None else self.made
        return ((None, {"fields": fields}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.made

    def get_queryset(self, request: HttpRequest) -> QuerySet[CodeBatch]:
        used = Count("codes", filter=Q(codes__redeemed_at__isnull=False))
        rows: QuerySet[CodeBatch] = super().get_queryset(request)
        return rows.annotate(used=used)

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any] | None:
        code = code_typed(term)
        return rows.filter(pk=code.batch_id) if code else None

    def save_model(self, request: HttpRequest, obj: CodeBatch, form: Any, change: bool) -> None:
        services.make_codes(obj, by=operator(request))

    def response_add(self, request: HttpRequest, obj: CodeBatch, post_url_continue: str | None = None) -> HttpResponse:
        text = gettext("%(count)s codes were made. Download their file below.") % {"count": grouped(obj.count)}
        messages.success(request, text)
        return HttpResponseRedirect(change_url(obj))

    @admin.display(description=_("quota of each"))
    def num_quota(self, batch: CodeBatch) -> str:
        return f"{grouped(batch.quota)} (≈ ¥{in_yuan(batch.quota, list_price().yuan_per_quota)})"

    @admin.display(description=_("redeemed"))
    def progress(self, batch: Any) -> str:
        return f"{grouped(batch.used)} / {grouped(batch.count)}"

    @admin.display(description=_("state"))
    def state(self, batch: CodeBatch) -> str:
        return gettext("Revoked") + f" {moment(batch.revoked_at)}" if batch.revoked_at else gettext("Valid")

    def actions_for(self, request: HttpRequest, record: CodeBatch) -> Sequence[Action]:
        if not may(request, CodeBatch, "add"):
            return ()
        hint = gettext("Nobody can redeem its unused codes any more. What was redeemed stays.")
        refusal = gettext("It is revoked already.") if record.revoked_at else ""
        return [Action("revoke", gettext("Revoke"), hint=hint, refusal=refusal, asks_reason=True)]

    def do_revoke(self, request: HttpRequest, batch: CodeBatch, reason: str) -> Report:
        done = services.revoke_batch(batch)
        return Report(done, gettext("The batch is revoked.") if done else gettext("It is revoked already."))

    # --- The file ----------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download)
        return [path("<int:key>/codes.csv", view, name=url_name(self, "file")), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        batch = kwargs.get("obj")
        if batch is not None and may(request, CodeBatch, "add"):
            context["file_url"] = reverse(f"admin:{url_name(self, 'file')}", args=[batch.pk])
            context["confirmed"] = stepup.confirmed_until(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def download(self, request: HttpRequest, key: int) -> Any:
        """The codes as CSV, for whoever may make them and gives their password again: each line is money."""
        batch = CodeBatch.objects.filter(pk=key).first()
        if not may(request, CodeBatch, "add") or request.method != "POST":
            raise PermissionDenied
        if batch is None:
            raise Http404
        if not stepup.confirmed_until(request):
            wrong = stepup.confirm(request, request.POST.get("current_password", ""))
            if wrong:
                messages.error(request, wrong)
                return HttpResponseRedirect(change_url(batch))
        self.log_change(request, batch, gettext("Downloaded its codes."))
        columns: Columns = {
            "code": lambda line: line[0],
            "quota": lambda line: batch.quota,
            "redeemed_by": lambda line: line[1].redeemed_by and line[1].redeemed_by.get_username(),
            "redeemed_at": lambda line: moment(line[1].redeemed_at),
            "revoked_at": lambda line: moment(line[1].revoked_at),
        }
        return csv_file(f"codes-{batch.pk}", columns, services.texts_of(batch))
