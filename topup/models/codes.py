"""Redemption codes: quota that is handed out on paper, one use each."""

import hashlib
import re
import secrets
import unicodedata
from html import unescape
from urllib.parse import unquote

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField

# Crockford's base 32: no I, L, O, U, so that nobody misreads a code. 16 characters are 80 random bits.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 16
MAX_BATCH = 10_000
# A whole message may be pasted.
LONGEST_TYPED = 2000
_MISREAD = str.maketrans("ILO", "110")
# As we show them, whatever stands between the groups; the last four of several.
_GROUPED = re.compile(r"(?<![0-9A-Z])[0-9A-Z]{4}([^0-9A-Z]{1,3})[0-9A-Z]{4}(?:\1[0-9A-Z]{4}){2}(?!\1?[0-9A-Z])")
# In one piece; and in groups that something else has come between.
_IN_ONE = re.compile(r"(?<![0-9A-Z])[0-9A-Z]{16}(?![0-9A-Z])")
_BROKEN = re.compile(r"(?<![0-9A-Z])[0-9A-Z]{4}(?:[^0-9A-Z]{1,3}[0-9A-Z]{4}){3}(?![^0-9A-Z]{0,3}[0-9A-Z])")


class CodeBatch(models.Model):
    """Codes that were made together: what one is worth, and until when it can be redeemed."""

    name = models.CharField(_("name"), max_length=64)
    quota = models.BigIntegerField(_("quota of each"), validators=[MinValueValidator(1), MaxValueValidator(10**15)])
    count = models.PositiveIntegerField(
        _("how many"), default=100, validators=[MinValueValidator(1), MaxValueValidator(MAX_BATCH)]
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    created_by = models.CharField(_("made by"), max_length=150, editable=False)

    class Meta:
        verbose_name = _("batch of codes")
        verbose_name_plural = _("redemption codes")
        constraints = [models.CheckConstraint(condition=Q(quota__gt=0), name="code_batch_is_worth_something")]

    def __str__(self) -> str:
        return self.name


class RedemptionCode(models.Model):
    """One code. It is looked up by its digest; its text is encrypted, for the file an operator downloads."""

    batch = models.ForeignKey(CodeBatch, models.PROTECT, related_name="codes", verbose_name=_("batch"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    text = EncryptedField(_("redemption code"))
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        editable=False,
        related_name="redeemed_codes",
        verbose_name=_("redeemed by"),
    )
    redeemed_at = models.DateTimeField(_("redeemed"), null=True, editable=False)
    # Of this one alone; its batch may be revoked too.
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    revoked_by = models.CharField(
        _("revoked by"), max_length=150, blank=True, default="", db_default="", editable=False
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="", db_default="", editable=False)

    class Meta:
        verbose_name = _("redemption code")
        verbose_name_plural = _("redemption codes")
        constraints = [
            models.CheckConstraint(
                condition=Q(redeemed_by=None, redeemed_at=None)
                | Q(redeemed_by__isnull=False, redeemed_at__isnull=False),
                name="code_redeemed_by_somebody",
            )
        ]
        indexes = [models.Index(fields=["redeemed_at"], condition=Q(redeemed_at__isnull=False), name="code_redeemed")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @staticmethod
    def new_text() -> str:
        return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


def plain(typed: str) -> str:
    """A code as it was made, from what somebody typed or pasted: only letters and digits count, in any case and width,
    l for 1. Other words may stand around one that is written in groups of four, in one piece, or behind a colon, as a
    page or an address writes it. "" when there is none, or more than one."""
    text = unicodedata.normalize("NFKC", unquote(unescape(typed))).upper()
    found_by = ([each[0] for each in pattern.finditer(text)] for pattern in (_GROUPED, _IN_ONE, _BROKEN))
    for parts in ([text], [text.rpartition(":")[2]], *found_by):
        found = {code for part in parts if (code := _code_in(part))}
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""


def _code_in(part: str) -> str:
    found = "".join(each for each in part if each.isascii() and each.isalnum()).translate(_MISREAD)
    return found if len(found) == LENGTH and set(found) <= set(ALPHABET) else ""


def shown(text: str) -> str:
    """A code as people read it: XXXX-XXXX-XXXX-XXXX."""
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
