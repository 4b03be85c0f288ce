"""What signed-in users call: upload, list, look at, download and delete their files.

An upload answers {"path", "url", "name", "size", "contentType"}; the others {"success": true, "data": …}. Errors are
{"success": false, "message": …, "code": …} with an honest HTTP status.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api import frames, ratelimit
from voicehelper.api.paging import whole
from voicehelper.api.views import UserView
from voicehelper.clock import beijing_iso

from . import services
from .downloads import download
from .models import StoredFile
from .uploads import NotAForm, OneFile, one_of_a_few

# What the form around a file takes, when a file is judged by the length of the body.
_FORM_BYTES = 4096
# What keeps Django from reading the form.
_NO_FORM = (MultiPartParserError, TooManyFilesSent, TooManyFieldsSent, RequestDataTooBig)


class UploadAnswer(serializers.Serializer[Any]):
    path = serializers.CharField()
    url = serializers.CharField(help_text="Shows the file for ten minutes.")
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    contentType = serializers.CharField(help_text="Found from the bytes.")  # noqa: N815  # the contract's name


class UploadForm(serializers.Serializer[Any]):
    file = serializers.FileField()
    fileName = serializers.CharField(required=False)  # noqa: N815


class Upload(UserView):
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

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(NotAForm() if isinstance(exc, _NO_FORM) else exc)

    @extend_schema(summary=_("Store a file"), request={"multipart/form-data": UploadForm}, responses=UploadAnswer)
    def post(self, request: Request) -> Response:
        ratelimit.brake((settings.FILE_RATE_LIMIT, "files", str(self.user.pk)))
        # What does not fit is refused before it is sent.
        services.check_room(self.user, max(1, _length(request) - _FORM_BYTES))
        with one_of_a_few(self.user.pk):
            return Response(self._store(request._request))

    def _store(self, request: Any) -> dict[str, Any]:
        sent = request.FILES.get("file")
        if sent is None:
            raise NotAForm
        name = request.POST.get("fileName") or sent.name or ""
        file = services.store_file(self.user, name, sent.file)
        return file_json(file)


def _length(request: Request) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdigit() else 0


class Files(UserView):
    """The user's files, those of the newest day first."""

    @extend_schema(
        summary=_("One’s files, newest first"),
        operation_id="files_list",
        parameters=[
            OpenApiParameter("prefix", OpenApiTypes.STR, description="Only paths that begin so."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="Up to 100; 20 without it."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="`cursor` of the page before."),
        ],
        responses=frames.One,
    )
    def get(self, request: Request) -> Response:
        limit = whole(request, "limit", 20, 100)
        prefix, cursor = request.query_params.get("prefix", ""), request.query_params.get("cursor", "")
        files = services.list_files(self.user, prefix, limit + 1, after=cursor)
        items = [row_json(file) for file in files[:limit]]
        more = items[-1]["path"] if len(files) > limit else None
        return Response({"success": True, "data": {"items": items, "cursor": more}})


class OneFileView(UserView):
    """One of the user's files."""

    @extend_schema(
        summary=_("Download a file"),
        parameters=[OpenApiParameter("download", OpenApiTypes.BOOL, description="The bytes instead of the facts.")],
        responses=frames.One,
    )
    def get(self, request: Request, path: str) -> HttpResponseBase:
        if request.query_params.get("download") in ("1", "true"):
            return download(*services.open_file(self.user, path))
        return Response({"success": True, "data": file_json(services.file_of(self.user, path))})

    @extend_schema(summary=_("Delete a file"), responses=frames.Done)
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
