"""What keeps a file from being stored or fetched, and what is said then."""

from django.conf import settings
from django.http import UnreadablePostError
from django.utils.translation import gettext_lazy as _

from voicehelper.api.errors import ErrorAnswer, Rule

from .contents import readable
from .services import EmptyFile, FileNotFound, FileTooLarge, QuotaFull, StoreDown
from .uploads import NotAForm, TooManyAtOnce, TwoFiles


def _too_large(_error: FileTooLarge) -> ErrorAnswer:
    words = _("The file is too large: at most %(most)s") % {"most": readable(settings.FILE_MAX_BYTES)}
    return ErrorAnswer(413, words, "file_too_large")


def _full(_error: QuotaFull) -> ErrorAnswer:
    words = _("Your files take all the room there is (%(count)d files, %(room)s): delete some first")
    room = readable(settings.FILE_BYTES_PER_USER)
    return ErrorAnswer(413, words % {"count": settings.FILES_PER_USER, "room": room}, "file_quota_full")


REFUSALS: dict[type[Exception], Rule] = {
    EmptyFile: ErrorAnswer(400, _("The file is empty"), "empty_file"),
    FileTooLarge: _too_large,
    QuotaFull: _full,
    TwoFiles: ErrorAnswer(400, _("Send one file at a time"), "one_file"),
    NotAForm: ErrorAnswer(
        400, _("Send the file as multipart/form-data in a field named file, with a Content-Length"), "no_file"
    ),
    TooManyAtOnce: ErrorAnswer(
        429, _("You are sending several files already: wait for one to end"), "too_many_uploads"
    ),
    UnreadablePostError: ErrorAnswer(408, _("The upload was interrupted: send it again"), "interrupted"),
    FileNotFound: ErrorAnswer(404, _("There is no such file"), "not_found"),
    StoreDown: ErrorAnswer(
        503, _("Files cannot be reached at the moment, please try again later"), "store_down", retry_after_s=10
    ),
}
