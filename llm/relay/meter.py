"""Looks on while a stream passes: what it has used so far."""

from dataclasses import replace

from ..kinds import INPUT, OUTPUT, SEARCH
from ..providers.base import Tokens
from .billing import NOTHING, Amount
from .catalogue import ModelSpec
from .estimates import Calibration, weigh
from .operations import reported
from .questions import Question, by_estimate


class Meter:
    """What a stream has used so far: reports as they come, and the weight of what came after the last one."""

    def __init__(self) -> None:
        self.report: Tokens | None = None
        self._weight = 0.0
        self._weight_reported = 0.0

    def read(self, text: str, usage: Tokens | None) -> None:
        if text:
            self._weight += weigh(text)
        if usage is not None:
            self.report = usage if self.report is None else _more(self.report, usage)
            self._weight_reported += self._weight
            self._weight = 0.0

    def used(self, question: Question, model: ModelSpec, calibration: Calibration) -> tuple[Amount, str]:
        """What to charge for, and how it is known."""
        report = self.report
        if report is not None and report.final:
            calibration.learn(model.name, self._weight_reported + self._weight, report.output)
            return reported(question, report), "provider"
        since = calibration.tokens(model.name, self._weight)
        if report is None:
            return by_estimate(question, model, calibration, since), "estimate"
        used = reported(question, report)
        if since:
            return used._replace(kinds={**used.kinds, "output": used.kinds.get("output", 0) + since}), "estimate"
        return used, "cumulative"

    def estimated(self, question: Question, model: ModelSpec, calibration: Calibration) -> Amount:
        """What it used for all we know ourselves, when anything was written."""
        output = calibration.tokens(model.name, self._weight_reported + self._weight)
        return by_estimate(question, model, calibration, output) if output else NOTHING


def _more(before: Tokens, now: Tokens) -> Tokens:
    """A later report of the same stream. What was used is used: one that says less, or nothing, of the input or of the
    output does not give that back. The larger sum's kinds count, not each kind's largest number: a report may only
    come to tell apart what an earlier one had in one."""
    if now.input >= before.input and now.output >= before.output and SEARCH not in before.kinds:
        return now if now.service_tier or not before.service_tier else replace(now, service_tier=before.service_tier)
    read = before if before.input > now.input else now
    wrote = before if before.output > now.output else now
    kinds = {kind: number for kind, number in read.kinds.items() if kind in INPUT}
    kinds |= {kind: number for kind, number in wrote.kinds.items() if kind in OUTPUT}
    if found := max(before.kinds.get(SEARCH, 0), now.kinds.get(SEARCH, 0)):
        kinds[SEARCH] = found
    return Tokens(read.input, wrote.output, now.final, kinds, now.service_tier or before.service_tier)
