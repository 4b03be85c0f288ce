"""What accounts and wallets keep of a user, as parts of the copy of their data. Secrets and what stands in for them (a
password's hash, a token's digest, a session key) are in no copy: they would open the account to whoever finds it."""

from collections.abc import Iterator
from typing import Any

import orjson

from voicehelper.clock import beijing_iso
from voicehelper.spreadsheet import Columns
from voicehelper.wallet.models import Adjustment, Entry
from voicehelper.wallet.services import wallet_of

from . import sharing
from .exports import Part, Source, as_csv, as_json
from .models import AccessToken, ApiKey, BrowserSession, Consent, Share, User, WeChatIdentity

# An operator's reason for an adjustment is a note among operators.
_STATEMENT: Columns = {
    "time": lambda entry: beijing_iso(entry.created),
    "kind": lambda entry: entry.kind,
    "quota": lambda entry: entry.amount,
    "balance_after": lambda entry: entry.balance_after,
    "reference": lambda entry: entry.ref,
    "reason": lambda entry: "" if entry.kind == Entry.Kind.ADJUST else entry.reason,
}


def _parts(user: User) -> Iterator[Part]:
    wallet = wallet_of(user)
    entries = Entry.objects.filter(wallet=wallet)
    yield Part("account.json", [orjson.dumps(_account(user), option=orjson.OPT_INDENT_2)])
    yield Part("wechat.json", as_json(WeChatIdentity.objects.filter(user=user), _identity))
    yield Part("browsers.json", as_json(BrowserSession.objects.filter(user=user), _browser))
    yield Part("tokens.json", as_json(AccessToken.objects.filter(user=user), _token))
    yield Part("keys.json", as_json(ApiKey.objects.filter(user=user).select_related("budget"), _key))
    yield Part("shares.json", as_json(sharing.counted(Share.objects.filter(user=user)), _share))
    yield Part("statement.csv", as_csv(entries, _STATEMENT))
    yield Part("statement.json", as_json(entries, _entry))
    yield Part("consents.json", as_json(Consent.objects.filter(user=user), _consent))
    yield Part("adjustments.json", as_json(Adjustment.objects.filter(wallet=wallet), _adjustment))


ACCOUNT = Source(lambda _user: 10, _parts)


def _account(user: User) -> dict[str, Any]:
    wallet = wallet_of(user)
    return {
        "id": user.pk,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "email_confirmed": beijing_iso(user.email_verified_at),
        "email_to_be_confirmed": user.new_email,
        "language": user.language,
        "minors_mode": user.minor,
        "group": user.group,
        "joined": beijing_iso(user.date_joined),
        "last_sign_in": beijing_iso(user.last_login),
        "balance": wallet.balance,
        "held": wallet.held,
        "used": wallet.used,
    }


def _identity(row: WeChatIdentity) -> dict[str, Any]:
    return {
        "app_id": row.app_id,
        "openid": row.openid,
        "unionid": row.unionid,
        "created": beijing_iso(row.created),
        "last_seen": beijing_iso(row.seen_at),
    }


def _browser(row: BrowserSession) -> dict[str, Any]:
    seen = {"created": beijing_iso(row.created), "last_seen": beijing_iso(row.seen_at)}
    return {"browser": row.user_agent, "address": row.address, **seen}


def _token(row: AccessToken) -> dict[str, Any]:
    ends = {"expires": beijing_iso(row.expires_at), "revoked": beijing_iso(row.revoked_at)}
    return {"created": beijing_iso(row.created), "last_used": beijing_iso(row.last_used_at), **ends}


def _key(row: ApiKey) -> dict[str, Any]:
    budget = row.budget
    limits = {name: getattr(budget, name) for name in ("quota", "period", "rpm", "tpm", "used")} if budget else {}
    return {
        "name": row.name,
        "key": row.shown,
        "created": beijing_iso(row.created),
        "last_used": beijing_iso(row.last_used_at),
        "revoked": beijing_iso(row.revoked_at),
        "expires": beijing_iso(row.expires_at),
        "models": row.model_names,
        "addresses": row.addresses,
        **limits,
    }


def _share(row: Any) -> dict[str, Any]:
    """How many came by it, and not who: those are others."""
    counts = {"visits": row.visit_count, "sign_ups": row.sign_up_count}
    return {"share_id": row.share_id, "created": beijing_iso(row.created), **counts}


def _entry(entry: Entry) -> dict[str, Any]:
    return {name: read(entry) for name, read in _STATEMENT.items()}


def _adjustment(row: Adjustment) -> dict[str, Any]:
    return {"reference": row.ref, "quota": row.amount, "state": row.state, "created": beijing_iso(row.created)}


def _consent(row: Consent) -> dict[str, Any]:
    return {"kind": row.kind, "version": row.version, "agreed": beijing_iso(row.agreed), "address": row.address}
