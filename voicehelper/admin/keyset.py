"""Lists of tables that never stop growing: pages by position instead of by number, and nothing is counted.

The order is newest first by `position`. `?before=7` are the rows older than row 7, `?after=7` the newer, `?after=0` the
oldest: each is one short walk along an index, however many rows there are.
"""

from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from .base import ReadOnlyAdmin

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
else:
    from unfold.views import ChangeList

BEFORE, AFTER = "before", "after"


class Positions:
    """Links to the pages around the one shown; empty where there is none. In place of Django's paginator."""

    template_name = "admin/parts/positions.html"

    def __init__(self, changes: "KeysetList", *, newer: bool, older: bool) -> None:
        rows = changes.result_list
        here = changes.get_query_string
        self.newest = here() if newer else ""
        self.newer = here({AFTER: rows[0].pk}) if newer and rows else ""
        self.older = here({BEFORE: rows[-1].pk}) if older and rows else ""
        self.oldest = here({AFTER: 0}) if older else ""


class KeysetList(ChangeList):
    """A page of the list, found by position."""

    model_admin: "EndlessAdmin"

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        typed = request.GET.copy()
        self.before, self.after = (_number(typed.pop(name, [""])[-1]) for name in (BEFORE, AFTER))
        # Neither is a filter, and no other link should carry it on.
        request.GET = typed  # type: ignore[assignment]
        super().__init__(request, *args, **kwargs)

    def get_results(self, request: HttpRequest) -> None:
        rows, newer, older = self._page()
        self.result_list: Any = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        self.paginator: Any = Positions(self, newer=newer, older=older)

    def _page(self) -> tuple[list[Any], bool, bool]:
        """The rows, and whether there are newer and older ones."""
        field, many = self.model_admin.position, self.list_per_page
        if self.after is not None:
            up = self._beyond(self.after, "gt").order_by(field, "pk")[: many + 1]
            rows = list(up)
            # Fewer than a page: what is left is on the first one.
            if len(rows) >= many or self.after == 0:
                return rows[:many][::-1], len(rows) > many, self.after != 0
            self.before = None
        found = list(self._beyond(self.before or 0, "lt").order_by(f"-{field}", "-pk")[: many + 1])
        return found[:many], self.before is not None, len(found) > many

    def _beyond(self, pk: int, side: str) -> QuerySet[Any]:
        """The rows on one side of a row; all when there is none."""
        field = self.model_admin.position
        place = self.model._default_manager.filter(pk=pk).values_list(field, flat=True).first() if pk else None
        rows: QuerySet[Any] = self.queryset
        if place is None:
            return rows
        beyond = Q(**{f"{field}__{side}": place}) | Q(**{field: place, f"pk__{side}": pk})
        # The first condition follows from the second; the index can use it.
        return rows.filter(Q(**{f"{field}__{side}e": place}), beyond)


class EndlessAdmin(ReadOnlyAdmin):
    """A read-only table in which nothing is counted. `position` is the time it is ordered by, which needs an index."""

    position = "created"
    list_filter_sheet = True

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return KeysetList


def _number(text: object) -> int | None:
    text = str(text)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
