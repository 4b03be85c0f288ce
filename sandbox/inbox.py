"""The page that shows what messages arrived at the messengers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from .models import Arrival

SHOWN = 50


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """The newest messages, taken and refused."""
    arrivals = Arrival.objects.select_related("messenger").order_by("-pk")[:SHOWN]
    return render(request, "sandbox/inbox.html", {"arrivals": arrivals})
