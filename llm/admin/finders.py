"""What the one search box finds of models: calls, by their request id."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import finding
from voicehelper.admin.columns import moment
from voicehelper.admin.finding import Finder
from voicehelper.numbers import grouped

from ..models import Usage


def _note(usage: Usage) -> str:
    facts = (usage.user, usage.model_name, usage.get_outcome_display(), grouped(usage.quota), moment(usage.created))
    return " · ".join(str(fact) for fact in facts)


def join() -> None:
    finding.finds(
        Finder(
            30,
            Usage,
            _("the request id of a call: req_…"),
            "receipt",
            exactly=lambda term: Q(request_id=term),
            note=_note,
        )
    )
