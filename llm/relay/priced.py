"""Which of those who could answer have a price for all that is asked of them."""

from ..kinds import SEARCH
from ..providers.base import RESPONSES
from .attempts import Candidate
from .operations import Operation
from .questions import Question
from .searching import search_is_optional, searches
from .unpriced import refusal_of


def priced(possible: list[Candidate], operation: Operation, question: Question) -> list[Candidate]:
    """Those that have a price for all that is asked. Raises CallRefused when none has."""
    body = question.body
    searching = searches(body)
    refusals = [
        refusal_of(operation.name, body, each.model, searches=searching and _searches(each, question))
        for each in possible
    ]
    if refusals[0] is not None and None not in refusals:
        raise refusals[0]
    return [candidate for candidate, refusal in zip(possible, refusals, strict=True) if refusal is None]


def _searches(candidate: Candidate, question: Question) -> bool:
    """Whether it would be told to search the web: Responses leave that out where they are translated, and where it has
    no price and they can do without."""
    model = candidate.model
    if question.dialect != RESPONSES:
        return True
    native = question.native_to(candidate.credential.account, model)
    return native and (SEARCH in model.prices.kinds or not search_is_optional(question.body))
