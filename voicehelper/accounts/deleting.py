"""Deleting an account: asked for, called off by signing in, and carried out when its time has come.

The books stay (orders, entries, refunds, sums of usage, notices): they point at a user whose row names nobody. The
person goes. An account with something unfinished is not deleted: money may still come or go, and somebody would have to
be reached about it. Entries cannot be changed, which is why they name users by number (`wallet.services.as_actor`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.wallet.adjusting import give_up
from voicehelper.wallet.models import Wallet

from . import forgetting, letters
from .models import AccountDeletion, User
from .services import revoke_tokens

log = logging.getLogger(__name__)

# For so long it can be called off.
GRACE = timedelta(days=7)
# Accounts in one run.
AT_ONCE = 20


class DeletionRefused(Exception):
    """It cannot be deleted now; `reasons` say why, in sentences for the user."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


class BalanceLeft(Exception):
    """There is a balance, and nobody said that it is given up."""


_obstacles: list[Callable[[User], str]] = []


def register_obstacle(look: Callable[[User], str]) -> None:
    """What may be unfinished in an app: a sentence for the user, or nothing."""
    _obstacles.append(look)


@dataclass(frozen=True)
class Losses:
    """What a user is told before: why it cannot be (else empty), and the quota that would be lost."""

    obstacles: list[str]
    quota: int


def losses_of(user: User) -> Losses:
    """What keeps the account, and what its balance is."""
    reasons = [reason for look in _obstacles if (reason := look(user))]
    if user.is_staff or user.is_superuser:
        reasons.insert(0, _("Operators’ accounts are not deleted: ask another operator to take the rights away first."))
    wallet = Wallet.objects.filter(user=user).first()
    if wallet and wallet.held:
        reasons.append(_("Something is still being paid from the balance: try again in a quarter of an hour."))
    return Losses(reasons, wallet.balance if wallet else 0)


def deletion_of(user: User) -> AccountDeletion | None:
    return AccountDeletion.objects.filter(user=user).first()


def ask(user: User, *, gives_up_balance: bool, by: str = "", reason: str = "") -> datetime:
    """Delete the account when GRACE is over, and sign it out everywhere. `by` is the operator who asks, if one does.

    Returns when; asked again, the first time counts. Raises DeletionRefused, BalanceLeft.
    """
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        if known := deletion_of(row):
            return known.due
        losses = losses_of(row)
        if losses.obstacles:
            raise DeletionRefused(losses.obstacles)
        if losses.quota and not gives_up_balance:
            raise BalanceLeft
        due = clock.now() + GRACE
        AccountDeletion.objects.create(user=row, due=due, asked_by=by, reason=reason)
        User.objects.filter(pk=row.pk).update(leaving_at=due, sign_outs=F("sign_outs") + 1)
        revoke_tokens(row)
        letters.will_be_deleted(row, due)
    return due


def call_off(user: User) -> bool:
    """The account stays. False: nothing was asked, or it has begun."""
    with transaction.atomic():
        count, _by_model = AccountDeletion.objects.filter(user=user, begun=None).delete()
        if count:
            User.objects.filter(pk=user.pk).update(leaving_at=None)
            letters.stays(user)
    user.leaving_at = None
    return count > 0


# --- Carrying it out -------------------------------------------------------------------------------------------------
def carry_out_due() -> int:
    """Delete the accounts whose time has come, and finish what was begun. Returns how many; fails when one could not
    be, after all the others were."""
    due = AccountDeletion.objects.filter(finished=None, due__lte=Now()).select_related("user").order_by("due")
    done, failed = 0, list[str]()
    for deletion in due[:AT_ONCE]:
        try:
            done += carry_out(deletion)
        except Exception as error:
            log.exception("Account %s could not be deleted yet", deletion)
            AccountDeletion.objects.filter(pk=deletion.pk).update(waits_for=type(error).__name__)
            failed.append(str(deletion))
    if failed:
        raise RuntimeError(f"Accounts that could not be deleted yet: {', '.join(failed)}")
    return done


def carry_out(deletion: AccountDeletion) -> bool:
    """From wherever it is to the end. False: it has to wait, or was called off."""
    if deletion.begun is None and not _begin(deletion):
        return False
    user = User.objects.get(pk=deletion.user_id)
    forgetting.forget(forgetting.person_of(user))
    return _finish(deletion)


def _begin(deletion: AccountDeletion) -> bool:
    with transaction.atomic():
        row = AccountDeletion.objects.select_for_update().filter(pk=deletion.pk, begun=None).first()
        if row is None:
            return False
        user = User.objects.select_for_update().get(pk=row.user_id)
        if obstacles := losses_of(user).obstacles:
            AccountDeletion.objects.filter(pk=row.pk).update(waits_for=" ".join(obstacles)[:300])
            return False
        # From here on nobody gets in any more, and what can be found by its names still can.
        facts = {"is_active": False, "password": make_password(None), "sign_outs": F("sign_outs") + 1}
        User.objects.filter(pk=user.pk).update(**facts)
        AccountDeletion.objects.filter(pk=row.pk).update(begun=Now(), waits_for="")
    return True


def _finish(deletion: AccountDeletion) -> bool:
    """The balance and the name, last: until then a run that was killed finds its way by them."""
    pseudonym = f"deleted#{deletion.user_id}"
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=deletion.user_id)
        if wallet := Wallet.objects.filter(user=user).first():
            give_up(wallet, reason="The account was deleted.")
        User.objects.filter(pk=user.pk).update(
            username=pseudonym,
            first_name="",
            last_name="",
            email="",
            new_email="",
            email_verified_at=None,
            language="",
            last_login=None,
            leaving_at=None,
            minor=False,
        )
        facts = {"finished": Now(), "waits_for": "", "reason": ""}
        return AccountDeletion.objects.filter(pk=deletion.pk, finished=None).update(**facts) == 1
