"""How the admin words and colours what became of a file, and of trying a bucket."""

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from voicehelper.admin.columns import choice_label
from voicehelper.net.probe import Probe

from ..buckets import Trial
from ..models import StoredFile

_TONES = {"stored": "success", "writing": "warning", "deleting": "default"}


def state_label(file: StoredFile) -> SafeString:
    return choice_label(file, _TONES)


def probe_of(trial: Trial, where: str) -> Probe:
    """A trial in words."""
    steps = {
        "open": _("open"),
        "write": _("write"),
        "read": _("read"),
        "sign": _("sign an address"),
        "list": _("list"),
        "delete": _("delete"),
    }
    done = {_("Worked"): " → ".join(steps[step] for step in trial.steps)} if trial.steps else {}
    error = trial.error
    if error is None:
        text = _("A small object was written, read, signed, listed and deleted.")
        return Probe(True, where, trial.elapsed_ms, text, "", done)
    details = {**done, _("Failed at"): steps[trial.failed], _("code"): error.code}
    shown = {name: value for name, value in details.items() if value}
    return Probe(False, where, trial.elapsed_ms, str(error.text), str(error.hint), shown)
