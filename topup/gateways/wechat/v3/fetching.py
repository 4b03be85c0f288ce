"""Fetching WeChat Pay's platform certificates, which sign for merchants without its public key."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voicehelper.net.http import HTTPAnswer

from ...errors import Unknown, WronglySigned
from .certificates import keys_in, unsealed
from .signing import SignatureMissing, SignatureWrong, check

if TYPE_CHECKING:
    from .wire import WeChatV3Wire

_NONE = ("RESOURCE_NOT_EXISTS",)


def fetch(wire: "WeChatV3Wire") -> int:
    """Ask for the platform certificates, keep them and use them from now on; how many there are (0: this merchant has
    the public key only)."""
    request = wire.request("GET /v3/certificates")
    found = wire.exchange("certificates", "", request, lambda answer: _read(wire, answer))
    for pem in found:
        wire.keep_certificate(pem)
    wire.keys = {**wire.keys, **keys_in("\n".join(found), datetime.now(UTC))}
    return len(found)


def _read(wire: "WeChatV3Wire", answer: HTTPAnswer) -> list[str]:
    """Opened with the APIv3 key, and signed by one of those that are known then."""
    if answer.status != 200:
        wire.judged("certificates", answer, _NONE)
        return []
    wire.last = answer
    now = datetime.now(UTC)
    try:
        found = unsealed(wire.content(answer).get("data"), wire.config.api_v3_key)
        keys = {**wire.keys, **keys_in("\n".join(found), now)}
        if keys:
            check(answer.headers, answer.body, keys, now)
    except SignatureMissing as error:
        raise Unknown(str(error)) from error
    except SignatureWrong as error:
        raise WronglySigned(f"The platform certificates are not signed as they should be. {error}") from error
    except ValueError as error:
        raise Unknown(f"The platform certificates cannot be used: {error}.") from error
    return found
