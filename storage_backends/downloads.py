"""Files as browsers get them: never as a page of ours, whatever they hold."""

from collections.abc import Iterable

from django.http import StreamingHttpResponse

from . import services
from .backends.base import Label
from .models import StoredFile

# Nothing in it runs, loads or is framed; it is what we say it is; and where it came from, with its signature, is told
# to nobody.
HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; media-src 'self'; img-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def download(file: StoredFile, content: Iterable[bytes]) -> StreamingHttpResponse:
    """A file's bytes under its own label."""
    return labelled(services.label_of(file), file.size, content)


def labelled(label: Label, size: int, content: Iterable[bytes]) -> StreamingHttpResponse:
    """So many bytes under a label."""
    return StreamingHttpResponse(
        content,
        content_type=label.content_type,
        headers={**HEADERS, "Content-Length": str(size), "Content-Disposition": label.disposition},
    )
