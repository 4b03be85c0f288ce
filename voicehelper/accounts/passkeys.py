"""Passkeys (WebAuthn): a key pair whose private half stays in a device, which opens it for a finger, a face or a PIN.

So a passkey alone is both factors; beside a password it is the second. https://www.w3.org/TR/webauthn-3/, by way of
py_webauthn, which reads and verifies what browsers send; what is kept and refused is said here.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of, on_the_wire

from . import letters
from .models import Passkey, PasskeyChallenge, User

CHALLENGE_LIFE = timedelta(minutes=5)
CHALLENGES = "100 per 10 minutes"
PER_ADDRESS = "50 per 10 minutes"
PER_PASSKEY = "10 per 10 minutes"
MOST = 20
_NAME = "VoiceHelper"
_LIFE_MS = int(CHALLENGE_LIFE.total_seconds()) * 1000
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
# What py_webauthn and what it stands on raise at bytes that are no credential.
_UNREADABLE = (
    WebAuthnException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    OverflowError,
    RecursionError,
)


class PasskeyRefused(Exception):
    """Forged, late, another site's, or not this user's: `words` say what to do, and not which it was."""

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = words or _("This passkey is not accepted. Please try again, or sign in another way.")


class NotAtThisAddress(PasskeyRefused):
    """Browsers bind passkeys to a name, and we are not asked by ours. `there`: where it works; empty: nowhere."""

    def __init__(self, there: str) -> None:
        super().__init__(
            _("Passkeys work at %(address)s only.") % {"address": there}
            if there
            else _("Passkeys need a site with a name; this one has an address of digits.")
        )
        self.there = there


@dataclass(frozen=True)
class Site:
    """Whom passkeys are made for: `rp_id`, a host name, and the origin that browsers write into what they sign."""

    rp_id: str
    origin: str


def site_of(request: HttpRequest) -> Site:
    """The site of SERVER_ADDRESS; on this machine also localhost, for browsers take no digits. Raises
    NotAtThisAddress."""
    home = urlsplit(on_the_wire(settings.SERVER_ADDRESS))
    name, host = home.hostname or "", request.get_host().lower()
    origin = f"{home.scheme}://{_without_default_port(home.scheme, home.netloc.lower())}"
    here = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and ":" in host else host
    if name in _LOOPBACK:
        if here == "localhost":
            return Site("localhost", f"{request.scheme}://{host}")
        port = f":{home.port}" if home.port else ""
        raise NotAtThisAddress(f"{home.scheme}://localhost{port}")
    if not any(letter.isalpha() for letter in name) or ":" in name:
        raise NotAtThisAddress("")
    if here != name:
        raise NotAtThisAddress(origin)
    return Site(name, origin)


def _without_default_port(scheme: str, netloc: str) -> str:
    return netloc.removesuffix({"https": ":443", "http": ":80"}[scheme])


def passkeys_of(user: User) -> QuerySet[Passkey]:
    """The user's own, the latest first."""
    return Passkey.objects.filter(user=user).order_by("-pk")


# --- Adding and removing ---------------------------------------------------------------------------------------------
def begin(request: HttpRequest, user: User) -> dict[str, Any]:
    """What the browser is asked to make a passkey of. Raises PasskeyRefused."""
    mine = list(passkeys_of(user))
    if len(mine) >= MOST:
        raise PasskeyRefused(_("You have as many passkeys as one may have: remove one first."))
    options = generate_registration_options(
        rp_id=site_of(request).rp_id,
        rp_name=_NAME,
        user_name=user.username,
        user_id=bytes(mine[0].user_handle) if mine else secrets.token_bytes(32),
        challenge=_open(request, PasskeyChallenge.REGISTER),
        timeout=_LIFE_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[_descriptor(each) for each in mine],
    )
    request.session[_HANDLE] = options.user.id.hex()
    return options_to_json_dict(options)


# Which handle the device was told, in the session.
_HANDLE = "passkey_handle"


def add(request: HttpRequest, user: User, name: str, credential: str) -> Passkey:
    """Keep what the browser made of `begin`. Raises PasskeyRefused."""
    site, challenge = site_of(request), _spend(request, PasskeyChallenge.REGISTER)
    said = _read(credential)
    try:
        made = verify_registration_response(
            credential=said,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _UNREADABLE:
        raise PasskeyRefused from None
    known = {str(each.value) for each in AuthenticatorTransport}
    transports = said["response"].get("transports")
    facts: dict[str, Any] = {
        "credential_id": made.credential_id,
        "public_key": made.credential_public_key,
        "user_handle": bytes.fromhex(request.session.pop(_HANDLE, "")),
        "sign_count": made.sign_count,
        "transports": sorted(known.intersection(map(str, transports))) if isinstance(transports, list) else [],
    }
    try:
        with transaction.atomic():
            letters.sign_in_changed(user, letters.PASSKEY_ADDED, passkey=name)
            return Passkey.objects.create(user=user, name=name, **facts)
    except IntegrityError:
        raise PasskeyRefused(_("This passkey is registered already.")) from None


def rename(user: User, pk: int, name: str) -> bool:
    """False: it is not the user's."""
    return Passkey.objects.filter(user=user, pk=pk).update(name=name) == 1


def remove(user: User, passkeys: QuerySet[Passkey]) -> int:
    """Those of `passkeys` that are the user's are good no more; returns how many."""
    with transaction.atomic():
        rows = list(passkeys.filter(user=user).select_for_update())
        for row in rows:
            letters.sign_in_changed(user, letters.PASSKEY_REMOVED, passkey=row.name)
        return Passkey.objects.filter(pk__in=[row.pk for row in rows]).delete()[0]


# --- Signing in ------------------------------------------------------------------------------------------------------
def ask(request: HttpRequest, user: User | None) -> dict[str, Any]:
    """What the browser is asked to sign: with one of the user's passkeys after the password, else with any that it has
    of ours. Raises PasskeyRefused, ratelimit.TooMany."""
    site = site_of(request)
    ratelimit.brake((CHALLENGES, "passkey-ask", network_of(client_address(request))))
    options = generate_authentication_options(
        rp_id=site.rp_id,
        challenge=_open(request, PasskeyChallenge.SIGN_IN),
        timeout=_LIFE_MS,
        allow_credentials=[_descriptor(each) for each in passkeys_of(user)] if user else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def check(request: HttpRequest, credential: str, user: User | None) -> User:
    """Whose passkey signed what this session was asked for; with `user` it must be that one's. Counted before it is
    looked at. Raises PasskeyRefused, ratelimit.TooMany."""
    site = site_of(request)
    with _braked(request, credential):
        said, challenge = _read(credential), _spend(request, PasskeyChallenge.SIGN_IN)
        row = _row_of(said)
        if row is None or not row.user.is_active or (user is not None and row.user_id != user.pk):
            raise PasskeyRefused
        try:
            found = verify_authentication_response(
                credential=said,
                expected_challenge=challenge,
                expected_rp_id=site.rp_id,
                expected_origin=site.origin,
                credential_public_key=bytes(row.public_key),
                # Compared below, where a count that falls is told of, and of two at once one wins.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except _UNREADABLE:
            raise PasskeyRefused from None
        _count(row, found.new_sign_count)
    return row.user


def _row_of(said: dict[str, Any]) -> Passkey | None:
    """By the credential's id; the account that the device names beside it must be the same."""
    try:
        named = base64url_to_bytes(said["id"])
        handle = said["response"].get("userHandle")
        row = Passkey.objects.select_related("user").filter(credential_id=named).first()
        if row is None or (handle and not constant_time_compare(base64url_to_bytes(handle), bytes(row.user_handle))):
            return None
    except _UNREADABLE:
        return None
    return row


def _count(row: Passkey, count: int) -> None:
    """A count that does not rise belongs to a copy of the device, or is a replay. Raises PasskeyRefused."""
    counted = Q(sign_count__lt=count) if count else Q(sign_count=0)
    if Passkey.objects.filter(counted, pk=row.pk).update(sign_count=count, last_used_at=Now()):
        return
    if kept := Passkey.objects.filter(pk=row.pk).first():
        raise_alert(
            "passkey_copied",
            title=Text(gettext_noop("A passkey of %(user)s may have been copied"), user=row.user.username),
            content=Text(
                gettext_noop("Its device has counted to %(kept)s before, and now says %(count)s. It was refused."),
                kept=kept.sign_count,
                count=count,
            ),
            key=f"passkey:{row.pk}",
            about=row.user,
        )
    raise PasskeyRefused


@contextmanager
def _braked(request: HttpRequest, credential: str) -> Iterator[None]:
    """A refusal counts for the network and for what was sent as the passkey's id."""
    network = network_of(client_address(request))
    try:
        named = str(json.loads(credential).get("id"))
    except _UNREADABLE:
        named = ""
    digest = hashlib.sha256(named.encode(errors="replace")).hexdigest()[:32]
    brakes = (PER_ADDRESS, "passkey-address", network), (PER_PASSKEY, "passkey", digest)
    with ratelimit.guess(*brakes, wrong=PasskeyRefused):
        yield


# --- Challenges ------------------------------------------------------------------------------------------------------
def _open(request: HttpRequest, purpose: str) -> bytes:
    """A challenge of this session, instead of the one it had."""
    if request.session.session_key is None:
        request.session.create()
    challenge = secrets.token_bytes(32)
    key = str(request.session.session_key)
    row = PasskeyChallenge(session_id=key, purpose=purpose, challenge=challenge, created=Now())
    PasskeyChallenge.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["session"], update_fields=["purpose", "challenge", "created"]
    )
    return challenge


def _spend(request: HttpRequest, purpose: str) -> bytes:
    """This session's challenge, which is good no more. Raises PasskeyRefused."""
    mine = PasskeyChallenge.objects.filter(session_id=request.session.session_key or "", purpose=purpose)
    row = mine.annotate(late=Q(created__lt=Now() - CHALLENGE_LIFE)).first()
    # Of two at once one deletes it.
    if row is None or not mine.filter(pk=row.pk, challenge=row.challenge).delete()[0] or row.late:
        raise PasskeyRefused(_("That took longer than five minutes. Please try again."))
    return bytes(row.challenge)


def _read(credential: str) -> dict[str, Any]:
    """What a browser sends, in JSON. Raises PasskeyRefused."""
    try:
        said = json.loads(credential)
    except (ValueError, RecursionError):
        raise PasskeyRefused from None
    if not isinstance(said, dict) or not isinstance(said.get("response"), dict):
        raise PasskeyRefused
    return said


def _descriptor(row: Passkey) -> PublicKeyCredentialDescriptor:
    transports = [AuthenticatorTransport(each) for each in row.transports]
    return PublicKeyCredentialDescriptor(id=bytes(row.credential_id), transports=transports)
