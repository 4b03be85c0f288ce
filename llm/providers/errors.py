"""What a provider's refusal means: its text, its code, whether to try here, elsewhere or never, and when."""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from . import verdicts
from .base import ProviderError, Recovery
from .verdicts import Codes

_MAX_TEXT, _MAX_CODE = 500, 64
# Nobody means more than a day; what says so is no answer to "when".
_MAX_RETRY_S = 86_400.0


# What reading JSON of an unexpected shape comes to.
SHAPE_ERRORS = (AttributeError, TypeError, KeyError, IndexError, ValueError)

# What stands in front of a provider stopped waiting for it: the provider may be at work.
_GATEWAY_GAVE_UP = (504, 524)
_STREAM_REFUSALS = (400, 403, 404, 405, 406, 415, 422, 501)
# Not "upstream", of which gateways like to speak.
_STREAM = re.compile(r"\bstream", re.IGNORECASE)


def refusal(status: int, headers: Mapping[str, str], body: bytes, codes: Codes) -> ProviderError:
    """The error that an answer with an error status is."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = body.decode(errors="replace").strip()
    if 300 <= status < 400:
        said = "The provider answered with a redirect, which is not followed. Enter its final address as base URL."
    error = error_in(said, codes, status=status, retry_after_s=retry_after(headers))
    error.given_up = status in _GATEWAY_GAVE_UP
    return error


def refuses_streams(error: ProviderError) -> bool:
    """Whether a request was refused because it asked for a stream: some models have none, and some accounts must not
    have theirs ("Your organization must be verified to stream this model")."""
    return error.status in _STREAM_REFUSALS and not error.given_up and _STREAM.search(error.text) is not None


def is_error(said: Mapping[str, Any], name: bytes = b"") -> bool:
    """Whether JSON inside a 200 answer, or an event of that name, tells of an error, wherever it tells it."""
    if "choices" in said and not said.get("error"):
        # MiniMax has the error beside choices that are null.
        return said["choices"] is None and _status_in(said) is not None
    if said.get("error") or name == b"error" or said.get("type") == "error" or said.get("object") == "error":
        return True
    if any(said.get(key) for key in ("data", "results", "content")):
        # "code 200, message ok" stands beside answers too.
        return False
    coded = any(said.get(key) for key in ("code", "error_code", "err_code"))
    worded = any(type(said.get(key)) is str for key in ("message", "error_msg", "msg"))
    return (coded and worded) or _status_in(said) is not None or bool(_within(said)) or _is_plain(said)


def _is_plain(said: Mapping[str, Any]) -> bool:
    """FastAPI's errors, and those of gateways that only say that it did not succeed."""
    return "type" not in said and (said.get("success") is False or type(said.get("detail")) is str)


def _within(said: Mapping[str, Any]) -> dict[str, Any]:
    """An error where others have their answer: Spark's header, Tencent Cloud's Response, a list of errors."""
    header, response, several = said.get("header"), said.get("Response"), said.get("errors")
    if type(header) is dict and header.get("code"):
        return header
    if type(response) is dict and type(error := response.get("Error")) is dict:
        return {"code": error.get("Code"), "message": error.get("Message")}
    first = several[0] if type(several) is list and several else None
    return first if type(first) is dict else {"message": first} if first else {}


def _status_in(said: Mapping[str, Any]) -> Any:
    """The code of an error beside the answer (`base_resp`); None when there is none."""
    status = said.get("base_resp")
    return (status.get("status_code") or None) if isinstance(status, dict) else None


def error_in(said: Any, codes: Codes, *, status: int = 200, retry_after_s: float | None = None) -> ProviderError:
    """The error that a provider's JSON tells of: `{"error": {"message", "code", "type"}}`, and what comes close.

    Its text is whole; `without` makes it fit to be told.
    """
    if isinstance(said, list) and said:
        # Google's are lists.
        said = said[0]
    inner = (said.get("error") or _within(said) or said) if isinstance(said, dict) else said
    named = inner if isinstance(inner, dict) else {"message": inner}
    base_resp = named.get("base_resp")
    if isinstance(base_resp, dict):
        named = {**base_resp, "code": base_resp.get("status_code")}
    names = [str(named[key]) for key in ("code", "error_code", "type") if named.get(key)]
    details = named.get("details")
    if isinstance(details, dict) and details.get("error_code"):
        names.insert(0, str(details["error_code"]))
    words = (named.get(key) for key in ("message", "error_msg", "msg", "status_msg", "detail"))
    nameless = names[0] if names else f"The provider answered with status {status}."
    text = next((str(word) for word in words if word), nameless)
    own = verdicts.of_its_own(named, named.get("code") if isinstance(base_resp, dict) else None)
    if trouble := verdicts.in_words(status, text):
        own, names = verdicts.OTHER_ACCOUNT, [trouble]
    verdict = own or verdicts.verdict(status, names, codes)
    return ProviderError(
        text,
        recovery=verdict.recovery,
        status=status,
        code=names[0] if names else "",
        retry_after_s=retry_after_s,
        cool_down=verdict.cool_down,
    )


def without(error: ProviderError, key: str) -> ProviderError:
    """The same error, cut to length, without our key: some providers, and those who pose as one, repeat what they were
    sent. Cut afterwards, or the cut would leave a part of the key."""
    text, code = error.text, error.code
    if key:
        text, code = text.replace(key, "…"), code.replace(key, "…")
    error.code = code[:_MAX_CODE]
    return with_text(error, text[:_MAX_TEXT])


def misshapen() -> ProviderError:
    """The error when a request cannot even be read; OpenAI would answer 400."""
    return ProviderError(
        "The request has not the shape of a chat request.", recovery=Recovery.FAIL, code="invalid_request"
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or a date); None when neither makes sense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        try:
            wait = float(value) * unit
        except ValueError:
            wait = _until(value) if name == "retry-after" and value else -1.0
        if 0 <= wait <= _MAX_RETRY_S:
            return wait
    return None


def _until(date: str) -> float:
    """Seconds until an HTTP date, 0 when it is past, -1 when it is none."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    return max(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time(), 0.0)


_WRONG_KEY = _("The API key is wrong or was revoked. Copy it once more from the provider's console.")
_OVERDUE = _("The account at the provider has no credit. Recharge it there.")
_NO_MODEL = _("The provider does not know this model id, or it is not open to this account.")
_NO_CONNECTION = _("Nothing answers at the base URL. Check it, and whether this server may reach it.")
_NO_API = _("Something answers at the base URL, but not the provider's API. Check the base URL.")


def explained(error: ProviderError, base_url: str, expected_end: str) -> ProviderError:
    """The same error with a hint for whoever entered the account. `expected_end` is how a base URL should end. The hint
    is translated when it is shown: the loop that calls knows nobody's language."""
    hint = (error.status in (0, 200, 404, 405) and _address_hint(base_url, expected_end)) or _hint(error)
    if hint:
        error.hint = hint
        error.args = (f"{error.text} {hint}",)
    return error


def with_text(error: ProviderError, text: str) -> ProviderError:
    """The same error, saying something else."""
    error.text = text
    error.args = (text,)
    return error


def _hint(error: ProviderError) -> StrOrPromise | None:
    if error.unpaid:
        return _OVERDUE
    by_status = {401: _WRONG_KEY, 404: _NO_MODEL, 0: _NO_CONNECTION}
    if error.status in by_status:
        return by_status[error.status]
    return _NO_API if error.status == 200 and not error.code else None


def _address_hint(base_url: str, expected_end: str) -> StrOrPromise | None:
    """What is wrong with a base URL at first sight."""
    end = f"/{base_url.rpartition('/')[2]}"
    doubled = bool(expected_end) and f"{expected_end}{expected_end}" in base_url
    if base_url.endswith(("/chat/completions", "/messages")) or doubled:
        return _("The base URL holds too much: leave out the path of a single operation, and what comes twice.")
    if expected_end and end != expected_end:
        return format_lazy(_("Such a base URL usually ends with {end}."), end=expected_end)
    if not expected_end and end == "/v1":
        return _("Leave out /v1 at the end of the base URL.")
    return None
