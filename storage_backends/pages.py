"""Files for whoever has an address that we signed."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from voicehelper.api.errors import answer_to

from . import exporting, services
from .downloads import HEADERS, download, labelled


@require_safe
def signed(request: HttpRequest, path: str) -> HttpResponseBase:
    """A file for whoever has an address that we signed."""
    query = request.GET
    try:
        file = services.signed_file(path, query.get("expires", ""), query.get("signature", ""))
        return download(file, () if request.method == "HEAD" else services.bytes_of(file))
    except services.FileNotFound:
        return _plain(_("This address is not valid, or not any more."), 403)
    except services.StoreDown as error:
        answer = answer_to(error)
        return _plain(answer.text, answer.status)


@require_safe
def export(request: HttpRequest, path: str) -> HttpResponseBase:
    """The copy of somebody's data, for whoever has an address that we signed."""
    query = request.GET
    try:
        found, content = exporting.signed_export(path, query.get("expires", ""), query.get("signature", ""))
    except services.FileNotFound:
        return _plain(_("This address is not valid, or not any more."), 403)
    except services.StoreDown as error:
        answer = answer_to(error)
        return _plain(answer.text, answer.status)
    if request.method == "HEAD":
        content.close()
        return labelled(exporting.label_of(found), found.size, ())
    return labelled(exporting.label_of(found), found.size, content)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=status, headers=HEADERS)
