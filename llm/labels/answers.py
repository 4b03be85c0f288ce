"""Labels what /v1 is about to pass on: whole sound, and pictures in the answer itself."""

import base64
import binascii
from typing import Any

from ..providers.base import Completion, Speech
from ..relay.catalogue import SafetyPolicy
from ..relay.settling import Completed
from .label import AILabel
from .pictures import label_picture
from .sounds import label_sound

OURS = "VoiceHelper"


def label_of(policy: SafetyPolicy, request_id: str) -> AILabel:
    return AILabel(policy.producer or OURS, request_id)


def labelled_speech(completed: Completed[Speech], policy: SafetyPolicy) -> bytes:
    """The sound of an answer."""
    content = completed.result.content
    return label_sound(content, label_of(policy, completed.request_id)) if policy.label_media else content


def labelled_pictures(completed: Completed[Completion], policy: SafetyPolicy) -> Completed[Completion]:
    """An answer whose pictures, as far as they are in it, are labelled; those that lie elsewhere are not ours to
    change."""
    if not policy.label_media:
        return completed
    body = completed.result.body
    rows = body.get("data")
    label, changed = label_of(policy, completed.request_id), False
    for row in rows if isinstance(rows, list) else ():
        changed = _label(row, label) or changed
    if not changed:
        return completed
    # Written anew, because it is no longer what came.
    result = Completion(body, completed.result.usage, text=completed.result.text)
    return completed._replace(result=result)


def _label(row: Any, label: AILabel) -> bool:
    given = row.get("b64_json") if isinstance(row, dict) else None
    if not isinstance(given, str):
        return False
    try:
        content = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    row["b64_json"] = base64.b64encode(label_picture(content, label)).decode()
    return True
