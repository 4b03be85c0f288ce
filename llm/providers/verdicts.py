"""What to do after a refusal: by its status, by its codes, and by words, where providers tell of their account's
trouble with a status that means the request's."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .base import Recovery


class Verdict(NamedTuple):
    """What to do, and whether the model should cool down there; with FAILOVER, the whole account."""

    recovery: Recovery
    cool_down: bool = False


# Codes and types of errors that mean more, or something else, than the status they come with. A code with a dot is
# looked up whole, then by what stands before the dot.
Codes = Mapping[str, Verdict]

TRY_AGAIN = Verdict(Recovery.RETRY)
RATE_LIMIT = Verdict(Recovery.RETRY, cool_down=True)
OTHER_MODEL = Verdict(Recovery.FAILOVER)
OTHER_ACCOUNT = Verdict(Recovery.FAILOVER, cool_down=True)
REFUSED = Verdict(Recovery.FAIL)

_BY_STATUS = {
    401: OTHER_ACCOUNT,
    402: OTHER_ACCOUNT,
    403: OTHER_ACCOUNT,
    404: OTHER_MODEL,
    405: OTHER_MODEL,
    408: TRY_AGAIN,
    409: TRY_AGAIN,
    410: OTHER_MODEL,
    425: TRY_AGAIN,
    429: RATE_LIMIT,
}
# Types of errors that are the request's fault where a status does not say whose it is: OpenAI's, vLLM's, DashScope's.
_MISTAKES = frozenset({
    "invalid_request_error", "BadRequestError", "invalid_parameter_error", "data_inspection_failed",
    "DataInspectionFailed",
})  # fmt: skip
# MiniMax's codes, which come with status 200 (platform.minimax.io, error codes).
_BASE_RESP: Mapping[Any, Verdict] = {
    1002: RATE_LIMIT, 1004: OTHER_ACCOUNT, 1008: OTHER_ACCOUNT, 1026: REFUSED, 1027: REFUSED, 1039: RATE_LIMIT,
    1042: REFUSED, 2013: REFUSED, 2049: OTHER_ACCOUNT,
}  # fmt: skip

# How texts begin that say that an account is not paid for, and that it is closed or its key no good. Only how they
# begin: further on, providers repeat what they were sent, and no user may have an account rest with his own words.
_UNPAID = re.compile(
    r"your credit balance is too low|access denied, please make sure your account is in good standing"
    r"|account \S+ is suspended|your account\b.{0,80}\b(?:suspended|insufficient|overdue)"
    r"|sorry, your account balance is insufficient|insufficient (?:account )?(?:balance|credits?|funds)\b"
    r"|your team has either used all available credits|(?:您的|账户|账号)?(?:余额不足|欠费|已欠费)|用户额度不足",
    re.IGNORECASE,
)
_BARRED = re.compile(
    r"this organization has been disabled|api key (?:not valid|not found|expired)|invalid api key", re.IGNORECASE
)


def in_words(status: int, text: str) -> str:
    """The code of what is wrong with the account, where a text says so; empty where it does not."""
    if status != 200 and not 400 <= status < 500:
        return ""
    if _UNPAID.match(text):
        return "billing_error"
    return "account_disabled" if status in (200, 400) and _BARRED.match(text) else ""


def verdict(status: int, names: Sequence[str], codes: Codes) -> Verdict:
    """By the codes and types that an error names, then by its status."""
    for name in names:
        found = codes.get(name) or codes.get(name.partition(".")[0])
        if found is not None:
            return found
        if status == 200 and name in _MISTAKES:
            return REFUSED
        # Some put the status an error would have had into the code.
        if status == 200 and len(name) == 3 and name.isascii() and name.isdigit():
            status = int(name)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return OTHER_MODEL
    return REFUSED if 400 <= status < 500 else TRY_AGAIN


def of_its_own(named: Mapping[str, Any], code: Any) -> Verdict | None:
    """What an error says that no list of codes knows: MiniMax's `code`, and that OpenRouter's moderation took offence,
    which comes with the status of a key that is not accepted."""
    offence = named.get("metadata")
    if isinstance(offence, dict) and ("flagged_input" in offence or "reasons" in offence):
        return REFUSED
    return _BASE_RESP.get(code) if type(code) is int else None
