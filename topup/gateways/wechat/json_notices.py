"""Notices of API v3 from outside, for accounts of any version: what they look like, and how one is refused.

One may come to a merchant without an account that speaks v3: not set up yet, or gone. Answered as in v2, with status
200, it would count as received.
"""

from .. import strict_json
from ..notices import Reply

MAX_BYTES = 64 * 1024
# With these names, in lower case, v3 signs.
SIGNED_HEADERS = tuple(f"wechatpay-{name}" for name in ("timestamp", "nonce", "signature", "serial", "signature-type"))


def is_one(body: bytes) -> bool:
    """Whether a notice is written as v3 writes them, whoever wrote it."""
    try:
        return isinstance(strict_json.object_in(body, MAX_BYTES).get("resource"), dict)
    except ValueError:
        return False


def refusal(reason: str, status: int) -> Reply:
    """The status alone decides: 200 with a complaint in it counts as received."""
    return Reply(strict_json.dumps({"code": "FAIL", "message": reason}), "application/json", status)
