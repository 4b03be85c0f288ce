"""What Alipay's codes mean for whoever asked."""

from ..errors import GatewayError, NumberTaken, Refused, Retryable, Unknown

ABSENT = "ACQ.TRADE_NOT_EXIST"
NOT_OPEN = "ACQ.TRADE_STATUS_ERROR"
# Gateway codes that end a request for good, those that ask for patience, and the same of the sub_codes of 40004.
# Every other code leaves the outcome unknown: the documents do not list them all.
_FINAL = {"20001", "40001", "40002", "40006"}
_TRY_AGAIN = {"20000", "40005", "ACQ.SYSTEM_ERROR"}
_TAKEN = {"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_CLOSE", "ACQ.TRADE_HAS_FINISHED", "ACQ.CONTEXT_INCONSISTENT"}
_FINAL_SUB_CODES = {
    "ACQ.ACCESS_FORBIDDEN",
    "ACQ.EXIST_FORBIDDEN_WORD",
    "ACQ.DISCORDANT_REPEAT_REQUEST",
    "ACQ.INVALID_PARAMETER",
    "ACQ.NOT_ALLOW_PARTIAL_REFUND",
    "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
    "ACQ.PARTNER_ERROR",
    "ACQ.REASON_ILLEGAL_STATUS",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
    "ACQ.REFUND_FEE_ERROR",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH",
    "ACQ.SELLER_BEEN_BLOCKED",
    "ACQ.TOTAL_FEE_EXCEED",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_NOT_ALLOW_REFUND",
    "ACQ.USER_NOT_MATCH_ERR",
    ABSENT,
    NOT_OPEN,
}


def failure(code: str, sub_code: str, said: str) -> GatewayError:
    """The error for a code other than 10000; `said` is for people."""
    if code in _TRY_AGAIN or sub_code in _TRY_AGAIN:
        return Retryable(f"{sub_code or code}: {said}")
    if sub_code in _TAKEN:
        return NumberTaken(sub_code, said)
    if code in _FINAL or (code == "40004" and sub_code in _FINAL_SUB_CODES):
        return Refused(sub_code or code, said)
    return Unknown(f"{code} {sub_code}: {said}")
