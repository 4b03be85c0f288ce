"""Scripted faults: what can go wrong, how it is asked for, and which of it hits the next call.

A script is JSON: `{"gateway": "wechat", "operation": "query", "fault": "timeout", "times": 2, "seconds": 10}`.
`operation` may be left out where the fault has only one; `out_trade_no` narrows a script to one order.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.db.models import F

from .base import Faults
from .models import Script

Value = int | float | str | bool

CALLS = ("create", "query", "close", "refund", "refund_query", "bill")
# What api.weixin.qq.com is asked for (`wechat_login.py`).
SIGN_IN = ("login", "token")
# Names under which callers know the operations.
ALIASES = {
    "unifiedorder": "create", "orderquery": "query", "closeorder": "close",
    "alipay.trade.precreate": "create", "alipay.trade.query": "query", "alipay.trade.close": "close",
    "precreate": "create",
    "refundquery": "refund_query", "downloadbill": "bill",
    "alipay.trade.refund": "refund", "alipay.trade.fastpay.refund.query": "refund_query",
    "alipay.data.dataservice.bill.downloadurl.query": "bill",
}  # fmt: skip
MOST_TIMES = 10_000
LONGEST_HOLD_S = 40
MOST_COPIES = 200


class BadScript(ValueError):
    """A script that cannot be; `str()` says why."""


def _number(lowest: float, highest: float) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and lowest <= value <= highest

    return fits


def _whole(lowest: int, highest: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _word(value: object) -> bool:
    """Short printable text, put into the message as it is."""
    return isinstance(value, str) and 1 <= len(value) <= 32 and value.isprintable()


def _end(value: object) -> bool:
    """How a refund can end, in WeChat Pay's words."""
    return value in ("SUCCESS", "REFUNDCLOSE", "CHANGE")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a fault; the test says whether a value fits, `rule` says the same in words."""

    fits: Callable[[object], bool]
    rule: str
    default: Value | None = None


@dataclass(frozen=True)
class Fault:
    """What can be scripted, for which operations, and what it does, in words."""

    operations: tuple[str, ...]
    says: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


AFTER_WORK = Parameter(_flag, "true or false", False)
WORD = Parameter(_word, "1 to 32 printable characters")
FAULTS: Mapping[str, Fault] = {
    "pay_inside_create": Fault(("create",), "The trade is paid and the notice sent before the create answer returns."),
    "timeout": Fault(
        (*CALLS, *SIGN_IN),
        "The answer comes late; the work is done after the wait, or with after_work before it.",
        {
            "seconds": Parameter(_number(0, LONGEST_HOLD_S), f"0 to {LONGEST_HOLD_S} seconds", 30),
            "after_work": AFTER_WORK,
        },
    ),
    "http_500": Fault(
        (*CALLS, *SIGN_IN), "HTTP 500; the work is done only with after_work.", {"after_work": AFTER_WORK}
    ),
    "http_202": Fault(CALLS, "HTTP 202, nothing is done yet.", {"after_work": AFTER_WORK}),
    "http_503": Fault(CALLS, "HTTP 503 without a word.", {"after_work": AFTER_WORK}),
    "html": Fault(
        (*CALLS, *SIGN_IN), "A web page instead of an answer; work only with after_work.", {"after_work": AFTER_WORK}
    ),
    "system_error": Fault(
        CALLS, "A signed SYSTEMERROR or ACQ.SYSTEM_ERROR; work only with after_work.", {"after_work": AFTER_WORK}
    ),
    "half_body": Fault((*CALLS, *SIGN_IN), "The work is done; half of the answer comes."),
    "errcode": Fault(
        SIGN_IN,
        "The answer is this error code, as if it were so.",
        {"code": Parameter(_whole(-1, 99_999), "-1 to 99999", -1)},
    ),
    "wrong_signature": Fault(
        (*CALLS, "notify"), "The answer (the work is done) or the notice is signed with the wrong key."
    ),
    "no_signature": Fault(
        (*CALLS, "notify"), "The answer or the notice (of WeChat Pay v3) comes without the headers that sign it."
    ),
    "signtest": Fault(
        (*CALLS, "notify"),
        "WeChat Pay v3 signs wrongly on purpose (WECHATPAY/SIGNTEST/); a notice comes again, honest.",
    ),
    "forged_certificate": Fault(
        CALLS,
        "An impostor signs the answer (of Alipay in certificate mode); his certificate is handed out too.",
    ),
    "spent_token": Fault(("bill",), "The address of the bill (of WeChat Pay v3) is used up before it is asked for."),
    "aged": Fault(
        CALLS,
        "The call counts as made that much later, so that an order is old enough to be closed, or expired.",
        {"seconds": Parameter(_number(0, 30 * 86400), "0 to 2592000 seconds", 301)},
    ),
    "lie_not_pay": Fault(("query",), "The query says that nobody has paid, although somebody has."),
    "paid_on_close": Fault(("close",), "The buyer pays in the moment of closing."),
    "refund_slow": Fault(
        ("refund",),
        "The refund is accepted, and ends only after so many queries.",
        {
            "queries": Parameter(_whole(1, 1000), "1 to 1000", 2),
            "then": Parameter(
                lambda v: v in ("SUCCESS", "REFUNDCLOSE", "CHANGE"), "SUCCESS, REFUNDCLOSE or CHANGE", "SUCCESS"
            ),
        },
    ),
    "not_enough": Fault(("refund",), "The merchant's balance does not cover the refund (NOTENOUGH)."),
    "frequency_limited": Fault(("refund",), "Too many refunds at once (FREQUENCY_LIMITED)."),
    "bill_not_ready": Fault(("bill",), "The bill has not been made yet."),
    "truncated_bill": Fault(("bill",), "Half of the bill comes."),
    "odd_bill_rows": Fault(
        ("bill",), "The bill also has rows of others under the same merchant number, and one that nobody can read."
    ),
    "wrong_bill_sums": Fault(("bill",), "The bill's own sums are wrong by one fen."),
    "late": Fault(("pay",), "The next payment goes through although the trade is closed or expired."),
    "coupon": Fault(
        ("pay",),
        "The buyer pays part of it with a coupon.",
        {"amount_fen": Parameter(_whole(1, 10**10), "a whole number of fen from 1", 1)},
    ),
    "drop": Fault(("notify",), "The notice is never sent by itself."),
    "duplicate": Fault(
        ("notify",),
        "The notice is sent so many times at the same moment.",
        {"copies": Parameter(_whole(2, MOST_COPIES), f"2 to {MOST_COPIES}", 2)},
    ),
    "delay": Fault(
        ("notify",),
        "The notice is sent later.",
        {"seconds": Parameter(_number(0, 86400), "0 to 86400 seconds", 10)},
    ),
    "hurry": Fault(
        ("notify",),
        "A notice that is not acknowledged is sent again after so many seconds, each time.",
        {"seconds": Parameter(_number(0, 3600), "0 to 3600 seconds", 1)},
    ),
    "wrong_amount": Fault(
        ("notify",),
        "A rightly signed notice names another amount (default: one fen), written as the gateway does.",
        {"amount": WORD},
    ),
    "wrong_merchant": Fault(
        ("notify",),
        "A rightly signed notice names another app and merchant (default: both, made up).",
        {"app_id": WORD, "merchant_id": WORD},
    ),
}


def check_parameters(fault: str, given: Mapping[str, object]) -> dict[str, Value]:
    """The fault's parameters with defaults filled in. Raises BadScript."""
    known = FAULTS[fault].parameters
    for name in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise BadScript(f"{fault} has no parameter {name!r}; it has: {names}.")
    values: dict[str, Value] = {name: rule.default for name, rule in known.items() if rule.default is not None}
    for name, value in given.items():
        if not known[name].fits(value) or not isinstance(value, Value):
            raise BadScript(f"{name} of {fault} must be {known[name].rule}.")
        values[name] = value
    return values


def write_script(data: object) -> Script:
    """Check and save a script. Raises BadScript."""
    if not isinstance(data, dict):
        raise BadScript("A script is a JSON object.")
    rest = dict(data)
    gateway, fault = rest.pop("gateway", None), rest.pop("fault", None)
    times, order = rest.pop("times", 1), rest.pop("out_trade_no", "")
    if not isinstance(gateway, str) or gateway not in Script.Speaker.values:
        raise BadScript(f"gateway must be one of: {', '.join(Script.Speaker.values)}.")
    if not isinstance(fault, str) or fault not in FAULTS:
        raise BadScript(f"fault must be one of: {', '.join(FAULTS)}.")
    operation = _operation(gateway, fault, rest.pop("operation", ""))
    if not _whole(1, MOST_TIMES)(times):
        raise BadScript(f"times must be a whole number from 1 to {MOST_TIMES}.")
    if not isinstance(order, str) or len(order) > 64 or not order.isprintable():
        raise BadScript("out_trade_no must be text of at most 64 characters.")
    more = rest.pop("parameters", {})
    if not isinstance(more, dict):
        raise BadScript("parameters must be a JSON object.")
    values = check_parameters(fault, {**more, **rest})
    return Script.objects.create(
        gateway=gateway, operation=operation, fault=fault, times=times, out_trade_no=order, parameters=values
    )


def _operation(gateway: str, fault: str, asked: object) -> str:
    """The operation in our own words; "pay" and "notify" mean the same to whoever scripts a payment."""
    signs_in = gateway == Script.Speaker.WEIXIN
    allowed = [operation for operation in FAULTS[fault].operations if (operation in SIGN_IN) == signs_in]
    if not allowed:
        raise BadScript(f"{fault} does not happen at {gateway}.")
    if asked in ("", None) and len(allowed) == 1:
        return allowed[0]
    operation = ALIASES.get(asked, asked) if isinstance(asked, str) else ""
    if operation in {"pay", "notify"} and operation not in allowed:
        operation = "notify" if operation == "pay" else "pay"
    if operation not in allowed:
        raise BadScript(f"operation of {fault} must be one of: {', '.join(allowed)}.")
    return operation


def take(gateway: str, operation: str, out_trade_no: str) -> Faults:
    """The faults that hit this call, one script of each kind, oldest first; each is used up by one."""
    waiting = Script.objects.filter(gateway=gateway, operation=operation, used__lt=F("times"))
    taken: dict[str, Mapping[str, Value]] = {}
    for script in waiting.filter(out_trade_no__in=["", out_trade_no]).order_by("pk"):
        if script.fault not in taken and script.take():
            taken[script.fault] = script.parameters
    return taken
