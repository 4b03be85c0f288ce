"""A list's filters, search and order, kept under a name by the operator who wants to see it so again."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from voicehelper.accounts.models import SavedView

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object

MOST_VIEWS = 20
# What says on which page of a list somebody is, or how it was opened, and not what is in it.
_PASSING = ("p", "all", "e", "_popup", "_to_field", "_changelist_filters", "_facets")


def query_of(text: str) -> str:
    """What of an address's query makes a view, always in the same order."""
    query = QueryDict(text, mutable=True)
    for name in _PASSING:
        query.pop(name, None)
    for name in [name for name, values in query.lists() if not any(values)]:
        del query[name]
    pairs = sorted((name, value) for name, values in query.lists() for value in values if value)
    ordered = QueryDict(mutable=True)
    for name, value in pairs:
        ordered.appendlist(name, value)
    return ordered.urlencode()


def _own(request: HttpRequest) -> int:
    return cast(int, request.user.pk)


class KeepsViews(_ModelAdmin):
    """Every list of the admin: its saved views as links above it, each operator's own."""

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("views/", site.admin_view(self.keep_view), name=self._views_name("keep")),
            path("views/<int:pk>/delete/", site.admin_view(self.forget_view), name=self._views_name("forget")),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        query = query_of(request.META.get("QUERY_STRING", ""))
        views = list(self._views(request))
        context = {
            "saved_views": views,
            "saved_views_url": reverse(f"admin:{self._views_name('keep')}"),
            "view_query": query,
            "view_is_saved": any(view.query == query for view in views),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def keep_view(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        query = self._posted(request)
        name = " ".join(request.POST.get("name", "").split())
        if not name or not query:
            messages.error(request, _("Filter, search or sort the list first, and give the view a name."))
        elif len(name) > 40 or len(query) > 1000:
            messages.error(request, _("The name, or what is filtered by, is too long."))
        elif self._views(request).count() >= MOST_VIEWS:
            text = _("There are %(most)d views of this list already. Delete one.")
            messages.error(request, text % {"most": MOST_VIEWS})
        else:
            self._keep(request, name, query)
        return self._back(query)

    def _keep(self, request: HttpRequest, name: str, query: str) -> None:
        try:
            with transaction.atomic():
                SavedView.objects.create(user_id=_own(request), model=self.opts.label_lower, name=name, query=query)
        except IntegrityError:
            messages.error(request, _("There is a view of this name already."))
        else:
            messages.success(request, _("The view “%(name)s” is saved.") % {"name": name})

    def forget_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        query = self._posted(request)
        if not self._views(request).filter(pk=pk).delete()[0]:
            raise Http404
        return self._back(query)

    def _posted(self, request: HttpRequest) -> str:
        """The list's present query. Raises PermissionDenied for who may not see the list."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return query_of(request.POST.get("query", ""))

    def _views(self, request: HttpRequest) -> Any:
        return SavedView.objects.filter(user_id=_own(request), model=self.opts.label_lower).order_by("pk")

    def _back(self, query: str) -> HttpResponse:
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return HttpResponseRedirect(f"{address}?{query}" if query else address)

    def _views_name(self, what: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}_view"
