"""Writes down what was found: who, in which call, by which rule."""

from ..models import SafetyVerdict


def note(user_id: int, request_id: str, *, direction: str, source: str, rule: str, outcome: str) -> None:
    """Never the text itself."""
    SafetyVerdict.objects.create(
        user_id=user_id, request_id=request_id, direction=direction, source=source, rule=rule[:100], outcome=outcome
    )
