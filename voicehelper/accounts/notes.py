"""What operators write down about a user, for the next one who is called: added, never changed."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from .models import User, UserNote

MOST_CHARS = 2000


def add_note(user: User, text: str, *, by: str) -> UserNote:
    """Raises ValueError, worded for the operator, when there is nothing in it or too much."""
    text = text.replace("\0", "").replace("\r\n", "\n").strip()
    if not text:
        raise ValueError(_("Write something first."))
    if len(text) > MOST_CHARS:
        raise ValueError(_("A note has at most %(count)s characters.") % {"count": MOST_CHARS})
    return UserNote.objects.create(user=user, text=text, author=by)


def notes_of(user: User) -> QuerySet[UserNote]:
    """The latest first."""
    return UserNote.objects.filter(user=user).order_by("-pk")
