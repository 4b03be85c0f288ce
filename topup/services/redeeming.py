"""Redemption codes: making a batch, redeeming one, and what remains of it."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import as_actor, credit

from ..models import CodeBatch, RedemptionCode
from ..models.codes import plain, shown
from .errors import TopupError


class CodeInvalid(TopupError):
    """There is no such code, or it was revoked: deliberately not said which."""


class CodeUsed(TopupError):
    """Somebody has redeemed it; `mine` says whether that was the same user."""

    def __init__(self, *, mine: bool) -> None:
        super().__init__()
        self.mine = mine


class CodeExpired(TopupError):
    """Its time is over."""


def make_codes(batch: CodeBatch, *, by: str) -> CodeBatch:
    """Save a new batch with all its codes, or nothing."""
    batch.created_by = by
    with transaction.atomic():
        batch.save(force_insert=True)
        texts = {RedemptionCode.new_text() for _ in range(batch.count)}
        while len(texts) < batch.count:
            texts.add(RedemptionCode.new_text())
        codes = [
            RedemptionCode(
                batch=batch,
                digest=RedemptionCode.digest_of(text),
                text=Secret(text),  # type: ignore[misc]  # a Secret, see EncryptedField
            )
            for text in texts
        ]
        RedemptionCode.objects.bulk_create(codes, batch_size=1000)
    return batch


def redeem(user: User, typed: str) -> int:
    """Credit what a code is worth, once however many try; returns the quota.

    Raises CodeInvalid, CodeUsed, CodeExpired. Code and entry change in one transaction. The update that decides names
    no other table: PostgreSQL does not look again at what a subquery found after it has waited for a row.
    """
    with transaction.atomic():
        code = code_typed(typed)
        if code is None:
            raise CodeInvalid
        unused = RedemptionCode.objects.filter(pk=code.pk, redeemed_at=None, revoked_at=None)
        if not unused.update(redeemed_by=user, redeemed_at=Now()):
            code.refresh_from_db()
            raise CodeUsed(mine=code.redeemed_by_id == user.pk) if code.redeemed_at else CodeInvalid
        quota = _worth(code)
        credit(user, quota, kind=Entry.Kind.GIFT, ref=ref_of(code), actor=as_actor(user.pk))
    return quota


def code_typed(typed: str) -> RedemptionCode | None:
    """The code that somebody typed, or pasted with other words around it."""
    return RedemptionCode.objects.filter(digest=RedemptionCode.digest_of(plain(typed))).first()


def _worth(code: RedemptionCode) -> int:
    """Raises CodeInvalid, CodeExpired."""
    batch = code.batch
    if batch.revoked_at is not None:
        raise CodeInvalid
    if batch.expires_at is not None and batch.expires_at <= clock.now():
        raise CodeExpired
    return batch.quota


def ref_of(code: RedemptionCode) -> str:
    """What the entry of a redeemed code refers to."""
    return f"code:{code.pk}"


def revoke_batch(batch: CodeBatch) -> bool:
    """Let nobody redeem any more of its codes. False: it was revoked already."""
    return CodeBatch.objects.filter(pk=batch.pk, revoked_at=None).update(revoked_at=Now()) == 1


def revoke_code(code: RedemptionCode, *, by: str, reason: str) -> bool:
    """Let nobody redeem this one. False: somebody has redeemed or revoked it."""
    unused = RedemptionCode.objects.filter(pk=code.pk, redeemed_at=None, revoked_at=None)
    return unused.update(revoked_at=Now(), revoked_by=by, reason=reason) == 1


def texts_of(batch: CodeBatch) -> Iterator[tuple[str, RedemptionCode]]:
    """The codes as people read them, a thousand rows at a time."""
    codes = RedemptionCode.objects.filter(batch=batch).select_related("redeemed_by").order_by("pk")
    for code in codes.iterator(chunk_size=1000):
        yield shown(code.text.reveal()), code
