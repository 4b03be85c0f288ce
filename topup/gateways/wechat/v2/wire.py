"""One call of WeChat Pay: sign, post, verify. An answer is judged in this order, and no further than it holds:
return_code (transport; a FAIL is not signed), sign, appid and mch_id, result_code.
"""

import secrets
from collections.abc import Callable, Container
from typing import Any
from urllib.parse import urlsplit

from voicehelper.net.certificates import ClientCertificate
from voicehelper.net.http import HTTP, TRUSTED, HTTPAnswer

from ...errors import GatewayError, NumberTaken, Refused, Retryable, Unknown, Unsigned, WronglySigned
from ...exchanges import Exchange, Outgoing, Result, forget, only_200
from ..account import ADDRESS, REAL_HOSTS
from ..brand import WeChatPay
from . import xml
from .config import WeChatConfig
from .signing import is_signed, sign

Fields = dict[str, str]

# Every code in none of these three sets leaves the outcome unknown: the documents do not list them all.
_TRY_AGAIN = {"SYSTEMERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED", "INVALID_REQ_TOO_MUCH"}
_TAKEN = {"ORDERPAID", "ORDERCLOSED", "OUT_TRADE_NO_USED"}
_FINAL = {
    "APPID_MCHID_NOT_MATCH",
    "APPID_NOT_EXIST",
    "ERROR",
    "INVALID_REQUEST",
    "INVALID_TRANSACTIONID",
    "LACK_PARAMS",
    "MCHID_NOT_EXIST",
    "NOAUTH",
    "NOTENOUGH",
    "NOT_UTF8",
    "ORDERNOTEXIST",
    "PARAM_ERROR",
    "POST_DATA_EMPTY",
    "REQUIRE_POST_METHOD",
    "SIGNERROR",
    "TRADE_OVERDUE",
    "TRADE_STATE_ERROR",
    "USER_ACCOUNT_ABNORMAL",
    "XML_FORMAT_ERROR",
}


class WeChatWire(WeChatPay):
    """Whose account it is, and how requests leave in its name."""

    def __init__(self, config: WeChatConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.mch_id
        self.sign_type = config.sign_type
        self.address = config.base_url.rstrip("/") or ADDRESS
        self.live = urlsplit(self.address).hostname in REAL_HOSTS
        self.config = config
        self.key = config.api_key
        # Whose notices are ours.
        self.app_ids = frozenset({config.app_id, *filter(None, config.other_app_ids)})

    def call(
        self,
        operation: str,
        path: str,
        fields: Fields,
        read: Callable[[Fields], Result],
        *,
        expected: Container[str] = (),
        about: str = "",
        certificate: ClientCertificate | None = None,
    ) -> Result:
        """Sign and post `fields` and read the verified answer. `expected` are the err_codes that `read` knows; `about`
        is the order's number, for the log, when the fields do not say it."""
        request = self.request(path, fields, certificate=certificate)
        order_no = about or fields["out_trade_no"]
        return self.exchange(operation, order_no, request, lambda answer: read(self._verified(answer, expected)))

    def request(self, path: str, fields: Fields, **more: Any) -> Outgoing:
        """`fields` with the common ones, signed; `more` goes to Outgoing."""
        fields = {
            "appid": self.app_id,
            "mch_id": self.merchant_id,
            "nonce_str": secrets.token_hex(16),
            "sign_type": self.sign_type,
            **fields,
        }
        text = xml.build({**fields, "sign": sign(fields, self.key, self.sign_type)})
        kind = {"Content-Type": "text/xml; charset=utf-8"}
        return Outgoing(self.address + path, text.encode(), f"POST {path}\n{text}", kind, **more)

    def is_ours(self, fields: Fields) -> bool:
        """An answer to a request of ours."""
        return (fields.get("appid"), payee_in(fields)) == (self.app_id, self.merchant_id)

    def is_for_us(self, notice: Fields) -> bool:
        """A notice for an app of ours; of which one, the order knows."""
        return notice.get("appid") in self.app_ids and payee_in(notice) == self.merchant_id

    def _verified(self, said: HTTPAnswer, expected: Container[str]) -> Fields:
        """An answer that is WeChat's word about our account. Raises Refused, Retryable or Unknown for any other."""
        try:
            answer = xml.parse(only_200(said).body)
        except xml.XMLError as error:
            raise Unknown(f"WeChat Pay's answer is not its XML: {error}") from error
        if answer.get("return_code") != "SUCCESS":
            raise Unsigned(answer.get("return_msg", ""))
        if not is_signed(answer, self.key, self.sign_type):
            raise WronglySigned("WeChat Pay's answer is not signed with our API key.")
        if not self.is_ours(answer):
            raise Unknown(f"WeChat Pay answered for {answer.get('appid')} / {payee_in(answer)}.")
        code = answer.get("err_code", "")
        if answer.get("result_code") != "SUCCESS" and not (answer.get("result_code") == "FAIL" and code in expected):
            raise _failure(code, answer.get("err_code_des", ""))
        return answer


def payee_in(fields: Fields) -> str:
    """Who was paid: the merchant, or with his number before it a sub-merchant, whose money that is."""
    merchant, sub_merchant = fields.get("mch_id", ""), fields.get("sub_mch_id", "")
    return merchant if sub_merchant in ("", "0") else f"{merchant}/{sub_merchant}"


def _failure(code: str, text: str) -> GatewayError:
    """What an err_code means for whoever asked."""
    if code in _TAKEN:
        return NumberTaken(code, text)
    if code in _FINAL:
        return Refused(code, text)
    return (Retryable if code in _TRY_AGAIN else Unknown)(f"{code}: {text}")
