"""Answers that were gone on with: their parts as one text. static/js/answer.js joins them in the same way."""

from collections.abc import Iterable
from functools import reduce

from ..models import ChatMessage


def joined(parts: Iterable[str]) -> str:
    """Each part begins where the one before broke off: between two words of a language that parts them is a space."""
    return reduce(_join, parts, "")


def _join(before: str, after: str) -> str:
    return f"{before} {after}" if _letter(before[-1:]) and _letter(after[:1]) else before + after


def _letter(sign: str) -> bool:
    return sign.isascii() and sign.isalnum()


def whole_text(answer: ChatMessage) -> str:
    """The text of an answer, with all that it goes on with before it."""
    parts, question = [answer.content], answer.question
    while question is not None and question.continues:
        before = ChatMessage.objects.select_related("question").filter(question_id=question.parent_id).first()
        if before is None:
            break
        parts.append(before.content)
        question = before.question
    return joined(reversed(parts))
