"""One call of Alipay: build with the official SDK, sign, post, verify. Signing, sending and verifying are ours, because
the SDK accepts SHA-1, reads no PKCS#8 key and takes the process's time zone.
"""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from importlib import import_module
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from voicehelper.clock import BEIJING
from voicehelper.net.http import HTTP, TRUSTED, HTTPAnswer

from .. import rsa
from ..base import Gateway
from ..errors import Unknown, Unsigned, WronglySigned
from ..exchanges import Exchange, Outgoing, Result, codec_of, forget, only_200
from . import fetching
from .certificates import chain_in, keys_in
from .config import AlipayConfig
from .failures import failure
from .signed_json import SignedMember, signed_member

ADDRESS = "https://openapi.alipay.com/gateway.do"
SANDBOX_ADDRESS = "https://openapi-sandbox.dl.alipaydev.com/gateway.do"
RSA2 = "RSA2"
TIME = "%Y-%m-%d %H:%M:%S"

Fields = dict[str, str]


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
        # Certificate mode: the files, what requests say of them, and what Alipay signs with, the pasted one first.
        self.files = config.files
        self._serials = self.files.serials if self.files else {}
        self.alipays = chain_in(self.files.alipay)[:1] if self.files else ()
        # By the certificate's number; the public key under none.
        self.keys = keys_in(self.alipays) if self.files else {"": rsa.public_key(config.public_key)}

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
        request, node = self.request(official_name, content, notify_url=notify_url)
        order_no = content.get("out_trade_no", "")

        def read_verified(said: HTTPAnswer) -> Result:
            answer = self._verified(said, node, expected)
            repeated = answer.get("out_trade_no", "" if named else order_no)
            if order_no and answer.get("code") == "10000" and repeated != order_no:
                raise Unknown("Alipay answered about another order.")
            return read(answer)

        return self.exchange(operation, about or order_no, request, read_verified)

    def request(self, official_name: str, content: Fields, *, notify_url: str = "") -> tuple[Outgoing, str]:
        """A signed request to be posted, and which member of the answer holds what is said to it."""
        form = self._signed(official_name, content, notify_url=notify_url)
        # Alipay decodes the form by the charset in the query string.
        del form["charset"]
        shown = string_to_sign(form | {"charset": "utf-8"}, without={"sign"})
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = Outgoing(f"{self.address}?charset=utf-8", urlencode(form).encode(), f"POST {shown}", kind)
        return request, f"{form['method'].replace('.', '_')}_response"

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
            **self._serials,
        }
        text = string_to_sign(fields, without={"sign"})
        return {**fields, "sign": rsa.sign(self._private_key, text.encode())}

    def _verified(self, said: HTTPAnswer, node: str, expected: Container[str]) -> Fields:
        """An answer that is Alipay's word. Raises Refused, Retryable or Unknown for any other."""
        found, signed = self.read(said, node)
        code, sub_code = found.values.get("code", ""), found.values.get("sub_code", "")
        words = f"{found.values.get('msg', '')} {found.values.get('sub_msg', '')}".strip()
        if not found.signature:
            raise Unsigned(f"{sub_code or code}: {words}")
        if not rsa.is_signed(self._key_for(found.serial), signed, found.signature):
            raise WronglySigned(f"Alipay's answer does not fit the {self._what_signs(found.serial)}.")
        if code == "40004" and sub_code in expected:
            return found.values
        if code != "10000":
            raise failure(code, sub_code, words)
        return found.values

    def read(self, said: HTTPAnswer, node: str) -> tuple[SignedMember, bytes]:
        """What an answer says, not verified, and the bytes that are signed of it. Raises Unknown."""
        try:
            codec = codec_of(only_200(said))
            found = signed_member(said.body, (node, "error_response"), codec)
        except ValueError as error:
            raise Unknown(f"Alipay's answer is not its JSON: {error}") from error
        return found, found.text.encode(codec)

    def _key_for(self, serial: str) -> RSAPublicKey:
        """What an answer is verified with: the key of the certificate it names, fetched if it is not known; the
        configured one if it names none. Raises Unknown."""
        if self.files is None or not serial:
            return next(iter(self.keys.values()))
        return self.keys.get(serial) or fetching.fetch(self, self.files, serial)

    @property
    def fetches_certificates(self) -> bool:
        return self.files is not None

    def use_certificates(self, pems: str) -> None:
        self.alipays = (*self.alipays, *(chain_in(pems) if pems else ()))
        self.keys = keys_in(self.alipays)

    def _what_signs(self, serial: str) -> str:
        if self.files is None:
            return "Alipay public key that is configured"
        return f"certificate {serial}" if serial else "certificate that is configured"


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
