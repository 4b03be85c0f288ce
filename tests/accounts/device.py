"""A device that holds a passkey, as WebAuthn has it, without py_webauthn's code."""

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.test import Client

from voicehelper.accounts.models import User

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, NEW_KEY = 0x01, 0x04, 0x40


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def data(base64url: str) -> bytes:
    return base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4))


class Device:
    """One key for one account; `count` is what it says of its use, 0 for ever when it does not count."""

    def __init__(self, *, counts: bool = True, origin: str = ORIGIN) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)
        self.handle = b""
        self.count = 1 if counts else 0
        self.origin = origin
        self.flags = PRESENT | VERIFIED

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _head(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def create(self, options: dict[str, Any]) -> str:
        """What the browser sends to have the key kept."""
        self.handle = data(options["user"]["id"])
        point = self._key.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        said = self._head(options["rp"]["id"], self.flags | NEW_KEY)
        said += bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(key)
        kept = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": said})
        client_data = self._client_data("webauthn.create", options["challenge"])
        return self._sent(
            clientDataJSON=text(client_data), attestationObject=text(kept), transports=["internal", "nonsense"]
        )

    def sign(self, options: dict[str, Any], *, rp_id: str = "") -> str:
        """What the browser sends to sign in."""
        self.count += 1 if self.count else 0
        head = self._head(rp_id or options["rpId"], self.flags)
        client_data = self._client_data("webauthn.get", options["challenge"])
        signature = self._key.sign(head + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._sent(
            clientDataJSON=text(client_data),
            authenticatorData=text(head),
            signature=text(signature),
            userHandle=text(self.handle),
        )

    def _sent(self, **response: Any) -> str:
        facts = {"id": text(self.id), "rawId": text(self.id), "type": "public-key", "clientExtensionResults": {}}
        return json.dumps(facts | {"response": response})


def browser(user: User | None = None) -> Client:
    """One that came to localhost."""
    client = Client(headers={"accept-language": "en", "host": "localhost:8000"})
    if user is not None:
        client.force_login(user)
    return client


def asked(client: Client, path: str = "ask", **given: str) -> dict[str, Any]:
    answer = client.post(f"/accounts/passkeys/{path}", given)
    assert answer.status_code == 200, answer.content
    return dict(answer.json()["options"])


def register(user: User, password: str, device: Device | None = None, client: Client | None = None) -> Device:
    """The user's device, whose passkey is kept."""
    device, client = device or Device(), client or browser(user)
    made = device.create(asked(client, "begin", name="phone", password=password))
    answer = client.post("/accounts/passkeys/add", {"name": "phone", "credential": made})
    assert answer.status_code == 200, answer.content
    return device


def sign_in(device: Device, client: Client | None = None, **more: str) -> Any:
    """What came of signing in with it."""
    client = client or browser()
    return client.post("/accounts/passkeys/sign-in", {"credential": device.sign(asked(client)), **more})
