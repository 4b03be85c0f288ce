"""What is answered where nothing is."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.defaults import page_not_found


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """JSON to programs, a page to people."""
    if request.path.startswith("/api/"):
        return JsonResponse(
            {"success": False, "message": _("There is nothing at this address"), "code": "not_found"}, status=404
        )
    return page_not_found(request, exception)
