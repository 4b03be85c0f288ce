"""What WeChat Pay's refusals mean, by code: the same code comes with different statuses."""

from ...errors import GatewayError, NumberTaken, Refused, Retryable, Unknown

# Every code in none of these three sets leaves the outcome unknown: the documents do not list them all, and of some
# (RULE_LIMIT, TRADE_ERROR) only the text says why.
_TRY_AGAIN = {"SYSTEM_ERROR", "SERVICE_UNAVAILABLE", "FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED", "RATE_LIMITED"}
_TAKEN = {"OUT_TRADE_NO_USED", "ORDER_CLOSED", "ORDER_PAID", "ORDERPAID"}
_FINAL = {
    "APPID_MCHID_NOT_MATCH",
    "INVALID_REQUEST",
    "INVALID_TRANSACTIONID",
    "MCH_NOT_EXISTS",
    "NOT_ENOUGH",
    "NO_AUTH",
    "NO_STATEMENT_EXIST",
    "ORDER_NOT_EXIST",
    "ORDER_NOT_EXISTS",
    "PARAM_ERROR",
    "REFUND_FEE_MISMATCH",
    "RESOURCE_NOT_EXISTS",
    "TRADE_OVERDUE",
    "USER_ACCOUNT_ABNORMAL",
}
# Of these nobody loses anything when a refusal was made up on the way (which TLS prevents): whether WeChat Pay signs
# its refusals, no document says for certain. A refund that failed for good must be signed.
_HARMLESS = {"create", "query", "refund query", "bill", "bill download", "certificates"}
# Also of what is signed by nobody: it only makes us ask.
_ASKS = {"ORDER_PAID", "ORDERPAID", "ORDER_NOT_EXIST", "ORDER_NOT_EXISTS", "RESOURCE_NOT_EXISTS"}


def is_believed(operation: str, code: str, *, signed: bool) -> bool:
    """Whether a refusal counts as WeChat Pay's word."""
    return signed or operation in _HARMLESS or (operation == "close" and code in _ASKS)


def failure(status: int, code: str, text: str) -> GatewayError:
    """What a refusal means for whoever asked. `text` is for people."""
    if code in _TRY_AGAIN or (status == 429 and code not in _FINAL | _TAKEN):
        return Retryable(f"{code}: {text}")
    if code in _TAKEN:
        return NumberTaken(code, text)
    if code in _FINAL and status < 500:
        return Refused(code, text)
    return Unknown(f"{code or 'HTTP status'} {status}: {text}")
