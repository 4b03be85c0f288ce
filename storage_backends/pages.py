"""Files as browsers get them: never as a page of ours, whatever they hold."""

from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from . import services
from .models import StoredFile

# Nothing in it runs, loads or is framed; it is what we say it is; and where it came from, with its signature, is told
# to nobody.
_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def download(file: StoredFile, content: Iterable[bytes]) -> StreamingHttpResponse:
    """A file's bytes under its own label."""
    label = services.label_of(file)
    return StreamingHttpResponse(
        content,
        content_type=label.content_type,
        headers={**_HEADERS, "Content-Length": str(file.size), "Content-Disposition": label.disposition},
    )


@require_safe
def signed(request: HttpRequest, path: str) -> HttpResponseBase:
    """A file for whoever has an address that we signed."""
    query = request.GET
    try:
        file = services.signed_file(path, query.get("expires", ""), query.get("signature", ""))
        return download(file, () if request.method == "HEAD" else services.bytes_of(file))
    except services.FileNotFound:
        return _plain(_("This address is not valid, or not any more."), 403)
    except services.StoreDown:
        return _plain(_("Files cannot be reached at the moment, please try again later"), 503)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=status, headers=_HEADERS)
