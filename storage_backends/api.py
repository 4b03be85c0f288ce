"""What signed-in users call: upload, list, look at, download and delete their files.

An upload answers {"path", "url", "name", "size", "contentType"}; the others {"success": true, "data": …}. Errors are
{"success": false, "message": …, "code": …} with an honest HTTP status.
"""

from typing import Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError
from django.http import HttpResponseBase, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from voicehelper.accounts.models import User
from voicehelper.api import ratelimit
from voicehelper.api.paging import whole
from voicehelper.clock import beijing_iso

from . import services
from .contents import readable
from .models import StoredFile
from .pages import download
from .uploads import OneFile, TooManyAtOnce, TwoFiles, one_of_a_few

# What the form around a file takes, when a file is judged by the length of the body.
_FORM_BYTES = 4096
_INVALID = _("Invalid parameters")
_REFUSALS: list[tuple[type[Exception] | tuple[type[Exception], ...], int, str, Promise]] = [
    (services.EmptyFile, 400, "empty_file", _("The file is empty")),
    (services.FileTooLarge, 413, "file_too_large", _("The file is too large: at most %(most)s")),
    (
        services.QuotaFull,
        413,
        "file_quota_full",
        _("Your files take all the room there is (%(count)d files, %(room)s): delete some first"),
    ),
    (TwoFiles, 400, "one_file", _("Send one file at a time")),
    (TooManyAtOnce, 429, "too_many_uploads", _("You are sending several files already: wait for one to end")),
    (services.FileNotFound, 404, "not_found", _("There is no such file")),
    (services.StoreDown, 503, "store_down", _("Files cannot be reached at the moment, please try again later")),
    (exceptions.Throttled, 429, "rate_limited", _("Too many requests, please try again later")),
    (exceptions.NotAuthenticated, 401, "not_signed_in", _("Please sign in first")),
    (exceptions.AuthenticationFailed, 401, "not_signed_in", _("Your session has expired, please sign in again")),
    (exceptions.PermissionDenied, 403, "forbidden", _("You may not do this")),
    (
        (MultiPartParserError, TooManyFilesSent, TooManyFieldsSent, RequestDataTooBig),
        400,
        "no_file",
        _("Send the file as multipart/form-data in a field named file, with a Content-Length"),
    ),
    (UnreadablePostError, 408, "interrupted", _("The upload was interrupted: send it again")),
]


class UploadAnswer(serializers.Serializer[Any]):
    path = serializers.CharField()
    url = serializers.CharField(help_text="Shows the file for ten minutes.")
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    contentType = serializers.CharField(help_text="Found from the bytes.")  # noqa: N815  # the contract's name


class UploadForm(serializers.Serializer[Any]):
    file = serializers.FileField()
    fileName = serializers.CharField(required=False)  # noqa: N815


class FileAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = serializers.DictField(required=False)  # type: ignore[assignment]  # the dialect names it so


class FileView(APIView):
    """Base of the routes."""

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, DatabaseError):
            # The middleware has an answer for all routes.
            raise exc
        # DRF decides between 401 and 403, and names the scheme; its own body is replaced.
        answer = super().handle_exception(exc) if isinstance(exc, exceptions.APIException) else Response()
        status, code, message = _refusal_of(exc)
        if not isinstance(exc, exceptions.APIException):
            answer.status_code = status
        if status == 503:
            answer["Retry-After"] = "10"
        answer.data = {"success": False, "message": message, "code": code}
        answer.exception = True
        return answer


def _refusal_of(error: Exception) -> tuple[int, str, str]:
    """Raises the error again when there is no answer to it."""
    for kind, status, code, text in _REFUSALS:
        if isinstance(error, kind):
            return status, code, str(text) % _limits() if "%(" in str(text) else str(text)
    if not isinstance(error, exceptions.APIException):
        raise error
    return error.status_code, "invalid_parameters", str(_INVALID)


def _limits() -> dict[str, Any]:
    return {
        "most": readable(settings.FILE_MAX_BYTES),
        "room": readable(settings.FILE_BYTES_PER_USER),
        "count": settings.FILES_PER_USER,
    }


class Upload(FileView):
    """Store a file: multipart/form-data with `file`, and `fileName` if it shall be called otherwise."""

    parser_classes = [MultiPartParser]

    def initialize_request(self, request: WSGIRequest, *args: Any, **kwargs: Any) -> Request:  # type: ignore[override]
        # Before anything looks at the body: checking a browser's CSRF token does.
        self._incoming = OneFile(request)
        request.upload_handlers = [self._incoming]
        return super().initialize_request(request, *args, **kwargs)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        # Django forgets a file whose sender hung up.
        self._incoming.close()
        return super().finalize_response(*args, **kwargs)

    @extend_schema(request={"multipart/form-data": UploadForm}, responses=UploadAnswer)
    def post(self, request: Request) -> Response:
        wait_s = ratelimit.hit(settings.FILE_RATE_LIMIT, "files", str(self.user.pk))
        if wait_s:
            raise exceptions.Throttled(wait_s)
        # What does not fit is refused before it is sent.
        services.check_room(self.user, max(1, _length(request) - _FORM_BYTES))
        with one_of_a_few(self.user.pk):
            return Response(self._store(request._request))

    def _store(self, request: Any) -> dict[str, Any]:
        sent = request.FILES.get("file")
        if sent is None:
            raise MultiPartParserError
        name = request.POST.get("fileName") or sent.name or ""
        file = services.store_file(self.user, name, sent.file)
        return file_json(file)


def _length(request: Request) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdigit() else 0


class Files(FileView):
    """The user's files, those of the newest day first."""

    @extend_schema(
        operation_id="files_list",
        parameters=[
            OpenApiParameter("prefix", OpenApiTypes.STR, description="Only paths that begin so."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 100; 20 without it."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="`cursor` of the page before."),
        ],
        responses=FileAnswer,
    )
    def get(self, request: Request) -> Response:
        limit = whole(request, "limit", 20, 100)
        prefix, cursor = request.query_params.get("prefix", ""), request.query_params.get("cursor", "")
        files = services.list_files(self.user, prefix, limit + 1, after=cursor)
        items = [row_json(file) for file in files[:limit]]
        more = items[-1]["path"] if len(files) > limit else None
        return Response({"success": True, "data": {"items": items, "cursor": more}})


class OneFileView(FileView):
    """One of the user's files."""

    @extend_schema(
        parameters=[OpenApiParameter("download", OpenApiTypes.BOOL, description="The bytes instead of the facts.")],
        responses=FileAnswer,
    )
    def get(self, request: Request, path: str) -> HttpResponseBase:
        if request.query_params.get("download") in ("1", "true"):
            return download(*services.open_file(self.user, path))
        return Response({"success": True, "data": file_json(services.file_of(self.user, path))})

    @extend_schema(responses=FileAnswer)
    def delete(self, request: Request, path: str) -> Response:
        services.delete_file(self.user, path)
        return Response({"success": True})


def row_json(file: StoredFile) -> dict[str, Any]:
    return {
        "path": file.key,
        "name": file.name,
        "size": file.size,
        "contentType": file.content_type,
        "created": beijing_iso(file.created),
    }


def file_json(file: StoredFile) -> dict[str, Any]:
    """With an address that shows it for ten minutes."""
    return {**row_json(file), "url": services.signed_url(file)}
