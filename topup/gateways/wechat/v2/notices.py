"""Notices of WeChat Pay: that somebody paid, signed; or about a refund, encrypted.

The second kind is encrypted with AES in ECB mode and not signed: whoever has seen notices can rearrange their blocks.
It only makes us ask.
"""

import base64
import binascii
import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7

from ...errors import BadSignature, Malformed, WrongRecipient
from ...notices import Claimed, IncomingNotice, OpenedNotice, any_algorithm
from ...refunds import RefundHint
from .. import json_notices
from ..trades import REFUND_NO, number_in
from . import xml
from .orders import receipt
from .signing import is_signed
from .wire import Fields, WeChatWire, payee_in


def open_notice(wire: WeChatWire, notice: IncomingNotice, claimed: Claimed = any_algorithm) -> OpenedNotice:
    try:
        fields = xml.parse(notice.body)
    except xml.XMLError as error:
        if json_notices.is_one(notice.body):
            raise BadSignature(
                "This is a notice of API v3, and no account here has the APIv3 key that opens it: set WeChat Pay up for"
                " v3, or look in its console which address this merchant's notices are sent to."
            ) from error
        raise Malformed(f"The notice is not WeChat Pay's XML: {error}") from error
    if "req_info" in fields:
        return _about_refund(wire, fields, claimed)
    order_no = number_in(fields.get("out_trade_no", ""))
    sign_type = claimed(order_no) or wire.sign_type
    _check_success(fields)
    if not is_signed(fields, wire.key, sign_type):
        raise BadSignature("The notice is not signed with our API key.")
    _check_recipient(wire, fields)
    # The answer to a query is signed in the same way: trade_state keeps one from passing for a notice.
    if fields.get("result_code") != "SUCCESS" or fields.get("trade_state", "SUCCESS") != "SUCCESS":
        return OpenedNotice(order_no)
    return OpenedNotice(order_no, receipt(wire, fields))


def _about_refund(wire: WeChatWire, fields: Fields, claimed: Claimed) -> OpenedNotice:
    _check_success(fields)
    _check_recipient(wire, fields)
    try:
        inner = xml.parse(decrypted(fields["req_info"], wire.key), root="root")
    except xml.XMLError as error:
        raise BadSignature(f"What our key opens is not WeChat Pay's XML: {error}") from error
    refund_no = inner.get("out_refund_no", "")
    if refund_no and not REFUND_NO.fullmatch(refund_no):
        raise Malformed(f"out_refund_no {refund_no[:64]!r} is not one.")
    order_no = number_in(inner.get("out_trade_no", ""))
    claimed(order_no)
    return OpenedNotice(order_no, refund=RefundHint(order_no, refund_no), signed=False)


def _check_success(fields: Fields) -> None:
    if fields.get("return_code") != "SUCCESS":
        raise Malformed("The notice does not say return_code SUCCESS.")


def _check_recipient(wire: WeChatWire, fields: Fields) -> None:
    if not wire.is_for_us(fields):
        raise WrongRecipient(f"The notice is for {fields.get('appid')} / {payee_in(fields)}.")


def decrypted(req_info: str, key: str) -> bytes:
    """The XML inside a notice: base64, AES-256-ECB, PKCS#7, under the MD5 of the API key. Raises BadSignature."""
    aes_key = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest().encode()
    # The mode is the protocol's choice, not ours.
    decryptor = Cipher(AES(aes_key), ECB()).decryptor()  # noqa: S305
    unpadder = PKCS7(AES.block_size).unpadder()
    try:
        sealed = base64.b64decode("".join(req_info.split()), validate=True)
        padded = decryptor.update(sealed) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except (binascii.Error, ValueError) as error:
        raise BadSignature("Our API key does not open the notice.") from error
