"""Invitations: a user shares the mini program, and sees who came by it."""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.templatetags.static import static
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from voicehelper import clock

from .models import MiniProgramSettings, Share, ShareVisit, User

PAGE = "/pages/index/index"
SHARES = "60 per hour"
VISITS = "60 per 10 minutes"


@dataclass(frozen=True)
class Invitation:
    """What `onShareAppMessage` returns: the card that friends see in their chat."""

    title: str
    path: str
    image_url: str
    share_id: str


def share(user: User) -> Invitation:
    """A new invitation by the user."""
    row = Share.objects.create(user=user, share_id=secrets.token_urlsafe(16))
    section = MiniProgramSettings.load()
    return Invitation(
        title=section.share_title or _("I am talking to an AI voice assistant. Try it too!"),
        path=f"{PAGE}?shareId={row.share_id}",
        image_url=section.share_image or settings.SERVER_ADDRESS + static("img/share.png"),
        share_id=row.share_id,
    )


def record_visit(share_id: str, visitor: User | None, network: str) -> bool:
    """Somebody opened an invitation: counted once for each user, and for strangers once a day and network.

    False: there is no such invitation. The sharer's own visits do not count. The network itself is not kept.
    """
    found = Share.objects.filter(share_id=share_id).first()
    if found is None:
        return False
    if visitor is None:
        _visit(found, stranger=_stranger(network))
    elif visitor.pk != found.user_id:
        _visit(found, visitor=visitor)
    return True


def record_sign_up(share_id: str, user: User) -> None:
    """A new user came by an invitation; an unknown one is nobody's."""
    found = Share.objects.filter(share_id=share_id).first()
    if found is not None and found.user_id != user.pk:
        _visit(found, visitor=user, signed_up=True)


def shares_of(user: User) -> QuerySet[Share]:
    """The user's own invitations, newest first, counted."""
    return counted(Share.objects.filter(user=user)).order_by("-pk")


def counted(shares: QuerySet[Share]) -> QuerySet[Share]:
    """The same invitations, each with `visit_count` and `sign_up_count`."""
    signed_up = Count("visits", filter=Q(visits__signed_up=True))
    return shares.annotate(visit_count=Count("visits"), sign_up_count=signed_up)


def _visit(share: Share, **facts: object) -> None:
    try:
        with transaction.atomic():
            ShareVisit.objects.create(share=share, **facts)
    except IntegrityError:
        return  # was here before


def _stranger(network: str) -> str:
    """The same for a network all day long (Beijing's), and nothing that leads back to it without our key."""
    today = clock.today()
    return salted_hmac("voicehelper.share", f"{today} {network}", algorithm="sha256").hexdigest()
