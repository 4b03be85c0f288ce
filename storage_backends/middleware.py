"""Forms of pages that come with files. Their bodies are read while they arrive, which occupies a thread."""

from collections.abc import Callable

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from voicehelper.api.errors import answer_to

from .uploads import TooManyAtOnce, one_of_a_few
from .with_files import comes_with_files


class FormsWithFiles:
    """Refuses them before the first byte is read: of strangers all, of a user those that are too many at once."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not comes_with_files(request.path, request.headers.get("Content-Type", "")):
            return self.get_response(request)
        if request.user.pk is None:
            return redirect_to_login(request.path)
        try:
            with one_of_a_few(request.user.pk):
                return self.get_response(request)
        except TooManyAtOnce as error:
            answer = answer_to(error)
            return HttpResponse(answer.text, status=answer.status, content_type="text/plain; charset=utf-8")
