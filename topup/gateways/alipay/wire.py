"""One call of Alipay: build with the official SDK, sign, post, verify. Signing, sending and verifying are ours, because
the SDK accepts SHA-1, reads no PKCS#8 key and takes the process's time zone.
"""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from importlib import import_module
from urllib.parse import urlencode, urlsplit

from voicehelper.clock import BEIJING
from voicehelper.net.http import HTTP, TRUSTED, HTTPAnswer

from .. import rsa
from ..base import Gateway
from ..errors import GatewayError, NumberTaken, Refused, Retryable, Unknown, Unsigned, WronglySigned
from ..exchanges import Exchange, Outgoing, Result, codec_of, forget, only_200
from .config import AlipayConfig
from .signed_json import signed_member

ADDRESS = "https://openapi.alipay.com/gateway.do"
SANDBOX_ADDRESS = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"
RSA2 = "RSA2"
TIME = "%Y-%m-%d %H:%M:%S"

Fields = dict[str, str]

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


def string_to_sign(fields: Mapping[str, str], *, without: Container[str]) -> str:
    """`fields` sorted by name in ASCII order, raw. A request leaves out `sign`, a notice `sign` and `sign_type`."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name not in without)


class AlipayWire(Gateway):
    """Whose application it is, and how requests leave in its name."""

    sign_type = RSA2

    def __init__(self, config: AlipayConfig, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget) -> None:
        super().__init__(config, http, record)
        self.app_id = config.app_id
        self.merchant_id = config.seller_id
        self.address = config.gateway_url or (SANDBOX_ADDRESS if config.sandbox else ADDRESS)
        self.live = urlsplit(self.address).hostname == urlsplit(ADDRESS).hostname
        self._private_key = rsa.private_key(config.private_key)
        self.public_key = rsa.public_key(config.public_key)

    def call(
        self,
        operation: str,
        official_name: str,
        content: Fields,
        read: Callable[[Fields], Result],
        *,
        expected: Container[str] = (),
        notify_url: str = "",
        about: str = "",
        named: bool = True,
    ) -> Result:
        """Sign and post a request and read the verified answer. `expected` are the sub_codes that `read` knows, `about`
        what the log says instead of an order's number; an answer that is not `named` need not repeat that number."""
        form = self._signed(official_name, content, notify_url=notify_url)
        # Alipay decodes the form by the charset in the query string.
        del form["charset"]
        shown = string_to_sign(form | {"charset": "utf-8"}, without={"sign"})
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = Outgoing(f"{self.address}?charset=utf-8", urlencode(form).encode(), f"POST {shown}", kind)
        node, order_no = f"{form['method'].replace('.', '_')}_response", content.get("out_trade_no", "")

        def read_verified(said: HTTPAnswer) -> Result:
            answer = self._verified(said, node, expected)
            repeated = answer.get("out_trade_no", "" if named else order_no)
            if order_no and answer.get("code") == "10000" and repeated != order_no:
                raise Unknown("Alipay answered about another order.")
            return read(answer)

        return self.exchange(operation, about or order_no, request, read_verified)

    def address_of(self, official_name: str, content: Fields, *, notify_url: str, return_url: str) -> str:
        """A signed request as an address for the buyer's browser."""
        form = self._signed(official_name, content, notify_url=notify_url, return_url=return_url)
        return f"{self.address}?{urlencode(form)}"

    def _signed(self, official_name: str, content: Fields, *, notify_url: str, return_url: str = "") -> Fields:
        fields = {
            **official(official_name, content, notify_url, return_url),
            "app_id": self.app_id,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": RSA2,
            "timestamp": f"{datetime.now(BEIJING):{TIME}}",
        }
        text = string_to_sign(fields, without={"sign"})
        return {**fields, "sign": rsa.sign(self._private_key, text.encode())}

    def _verified(self, said: HTTPAnswer, node: str, expected: Container[str]) -> Fields:
        """An answer that is Alipay's word. Raises Refused, Retryable or Unknown for any other."""
        try:
            codec = codec_of(only_200(said))
            raw, answer, signature = signed_member(said.body, (node, "error_response"), codec)
        except ValueError as error:
            raise Unknown(f"Alipay's answer is not its JSON: {error}") from error
        code, sub_code = answer.get("code", ""), answer.get("sub_code", "")
        words = f"{answer.get('msg', '')} {answer.get('sub_msg', '')}".strip()
        if not signature:
            raise Unsigned(f"{sub_code or code}: {words}")
        if not rsa.is_signed(self.public_key, raw.encode(codec), signature):
            raise WronglySigned("Alipay's answer does not fit the Alipay public key that is configured.")
        if code == "40004" and sub_code in expected:
            return answer
        if code != "10000":
            raise _failure(code, sub_code, words)
        return answer


def official(name: str, content: Fields, notify_url: str, return_url: str = "") -> Fields:
    """The parameters of the official SDK's request `name`. Imported on first use: it stands among 17,000 modules."""
    model = getattr(import_module(f"alipay.aop.api.domain.{name}Model"), f"{name}Model")()
    for key, value in content.items():
        if not hasattr(model, key):
            raise AttributeError(f"{name} has no field {key}.")
        setattr(model, key, value)
    request = getattr(import_module(f"alipay.aop.api.request.{name}Request"), f"{name}Request")(biz_model=model)
    # What is empty is left out, and so is not signed.
    if notify_url:
        request.notify_url = notify_url
    if return_url:
        request.return_url = return_url
    params: Fields = request.get_params()
    return params


def _failure(code: str, sub_code: str, said: str) -> GatewayError:
    """What a code other than 10000 means for whoever asked."""
    if code in _TRY_AGAIN or sub_code in _TRY_AGAIN:
        return Retryable(f"{sub_code or code}: {said}")
    if sub_code in _TAKEN:
        return NumberTaken(sub_code, said)
    if code in _FINAL or (code == "40004" and sub_code in _FINAL_SUB_CODES):
        return Refused(sub_code or code, said)
    return Unknown(f"{code} {sub_code}: {said}")
