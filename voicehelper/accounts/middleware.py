"""Middleware that belongs to accounts."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from voicehelper.middleware import GetResponse

from . import sessions


class NoteBrowser:
    """Notes which browsers are signed in. Behind the sessions and whoever says who that is; an answer that did not look
    at the session does not depend on it, and notes nothing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.session.accessed:
            sessions.note(request)
        return response
