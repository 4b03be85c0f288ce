"""One call of WeChat Pay API v3: sign, send, verify.

Every success is signed, and one that is not is forged. 401 never is: it says that our request was not understood as
ours. Other refusals are verified when they are signed, and believed unsigned only where that does no harm.
"""

import re
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from voicehelper.net.http import HTTP, TRUSTED, HTTPAnswer

from ... import rsa, strict_json
from ...errors import Refused, Retryable, Unknown, Unsigned, WronglySigned
from ...exchanges import Exchange, Outgoing, Result, forget
from ..account import ADDRESS, REAL_HOSTS
from ..brand import WeChatPay
from . import fetching
from .certificates import keys_in
from .config import WeChatV3Config
from .failures import failure, is_believed
from .signing import Keys, SerialUnknown, SignatureWrong, Signer, check, is_tried

Content = dict[str, Any]

MAX_BYTES = 64 * 1024
ABSENT = ("ORDER_NOT_EXIST", "ORDER_NOT_EXISTS", "RESOURCE_NOT_EXISTS")


class WeChatV3Wire(WeChatPay):
    """Whose account it is, and how requests leave in its name."""

    sign_type = "RSA"

    def __init__(
        self, config: WeChatV3Config, http: HTTP = TRUSTED, record: Callable[[Exchange], None] = forget
    ) -> None:
        super().__init__(config, http, record)
        self.config = config
        self.app_id = config.app_id
        self.merchant_id = config.mch_id
        self.address = config.base_url.rstrip("/") or ADDRESS
        self.live = urlsplit(self.address).hostname in REAL_HOSTS
        self.app_ids = frozenset({config.app_id, *filter(None, config.other_app_ids)})
        self.private_key = rsa.private_key(config.client_key)
        self._signer = Signer(config.mch_id, config.own.serial, self.private_key)
        self.keys: Keys = self._configured_keys()
        # The last answer, whose date and signature a probe tells of.
        self.last: HTTPAnswer | None = None

    def _configured_keys(self) -> dict[str, RSAPublicKey]:
        """Public key and platform certificates: while WeChat Pay switches from one to the other, both sign."""
        config = self.config
        own = {config.public_key_id: rsa.public_key(config.public_key)} if config.public_key else {}
        return own | keys_in(config.platform_certs, datetime.now(UTC))

    def call(
        self,
        operation: str,
        line: str,
        read: Callable[[Content], Result],
        *,
        about: str,
        content: Content | None = None,
        expected: Container[str] = (),
    ) -> Result:
        """Sign and send, and read the verified answer. `line` is method and path; `expected` are the codes of refusals
        that `read` knows; `about` is what the log says it is about."""
        request = self.request(line, content)
        return self.exchange(operation, about, request, lambda answer: read(self.judged(operation, answer, expected)))

    def request(self, line: str, content: Content | None = None, **more: Any) -> Outgoing:
        """Signed as it is sent, byte for byte; `more` goes to Outgoing."""
        method, path = line.split(" ", 1)
        # No null, and no emoji: WeChat Pay takes characters of three bytes at most.
        text = strict_json.dumps(content) if content is not None else ""
        body = "".join(character for character in text if character <= "\uffff").encode()
        signed = urlsplit(self.address).path + path
        headers = {
            "Accept": "application/json",
            "User-Agent": "VoiceHelper",
            "Authorization": self._signer.authorization(method, signed, body),
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self.config.public_key_id:
            headers["Wechatpay-Serial"] = self.config.public_key_id
        return Outgoing(self.address + path, body, f"{line}\n{body.decode()}", headers, method=method, **more)

    def judged(self, operation: str, answer: HTTPAnswer, expected: Container[str] = ()) -> Content:
        """What WeChat Pay said; of an expected refusal its `code`. Raises Refused or Unknown for any other."""
        self.last = answer
        if answer.status == 202:
            raise Retryable("WeChat Pay has accepted the request and not carried it out yet.")
        if answer.status in (200, 204):
            if not self._is_signed(answer):
                raise Unknown("WeChat Pay's answer comes without a signature: somebody else's, or a proxy removed it.")
            return {} if answer.status == 204 else self.content(answer)
        said = self._refusal(answer)
        code, text = str(said.get("code", "")), _words(said, answer)
        if answer.status == 401:
            raise Unsigned(f"{code}: {text}")
        believed = is_believed(operation, code, signed=self._is_signed(answer))
        if believed and code in expected:
            return {"code": code, "message": text}
        error = failure(answer.status, code, text)
        if isinstance(error, Refused) and not believed:
            raise Unsigned(f"{code}: {text}")
        raise error

    def _is_signed(self, answer: HTTPAnswer) -> bool:
        """False: nobody signed it. Raises WronglySigned for what somebody else did."""
        if "wechatpay-signature" not in answer.headers:
            return False
        try:
            self.verify(answer.headers, answer.body, datetime.now(UTC))
        except SignatureWrong as error:
            tried = "WeChat Pay tries whether its signature is checked: " if is_tried(answer.headers) else ""
            raise WronglySigned(f"{tried}WeChat Pay's answer is not signed as it should be. {error}") from error
        return True

    def verify(self, headers: Mapping[str, str], body: bytes, at: datetime, *, may_fetch: bool = True) -> None:
        """Raises SignatureWrong. A certificate that is not known is fetched, where the configuration says so; then
        also what fetching raises."""
        try:
            check(headers, body, self.keys, at)
        except SerialUnknown as error:
            wanted = may_fetch and error.is_certificate and self.config.fetch_certs
            if not wanted or not self.may_fetch_certificate(error.serial):
                raise
            try:
                fetching.fetch(self)
            except Refused as refusal:
                # Said of the certificates: of what is being verified nothing is known.
                raise Unknown(f"The platform certificates were refused: {refusal}") from refusal
            check(headers, body, self.keys, at)

    def content(self, answer: HTTPAnswer) -> Content:
        try:
            return strict_json.object_in(answer.body, MAX_BYTES)
        except ValueError as error:
            raise Unknown(f"WeChat Pay's answer is not its JSON: {error}.") from error

    def _refusal(self, answer: HTTPAnswer) -> Content:
        """A proxy's page and an address that does not exist have no code: nothing is concluded from their status."""
        try:
            said = strict_json.object_in(answer.body, MAX_BYTES)
        except ValueError:
            said = {}
        if not said.get("code"):
            raise Unknown(f"The gateway answered with HTTP status {answer.status} and no code of WeChat Pay's.")
        return said

    def _said(self, answer: HTTPAnswer) -> str:
        signer = answer.headers.get("wechatpay-serial", "") if "wechatpay-signature" in answer.headers else "nobody"
        number = answer.headers.get("request-id", "-")
        return f"{answer.status}, signed by {signer}, Request-ID {number}\n{super()._said(answer)}"

    def _redact(self, text: str) -> str:
        """Neither who pays nor the key to a bill; signatures stand in headers only, which are not logged."""
        text = re.sub(r'("(?:sp_|sub_)?openid"\s*:\s*")[^"]*', r"\1…", text)
        return re.sub(r"(token=)[^\"&\s]*", r"\1…", text)


def _words(said: Content, answer: HTTPAnswer) -> str:
    """A refusal's text, with where it was found and what WeChat Pay would have signed, if it says so."""
    detail = said.get("detail")
    more = f" {strict_json.dumps(detail)[:600]}" if detail else ""
    number = answer.headers.get("request-id", "")
    return f"{str(said.get('message', ''))[:300]}{more}{f' (Request-ID {number})' if number else ''}"
