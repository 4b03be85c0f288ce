"""Responses that are made on the event loop, so that no thread waits while a model thinks."""

from collections.abc import Awaitable, Callable

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase


class Later(StreamingHttpResponse):
    """What a view returns when its answer takes long: `make` runs on the event loop, after the thread was given back.

    It returns the real response, which may be a StreamingHttpResponse over an asynchronous iterator, and does its ORM
    work elsewhere. It is cancelled when the client leaves. Only asgi.py knows what to do with this: any other server
    answers 202, without a body.
    """

    def __init__(self, make: Callable[[], Awaitable[HttpResponseBase]]) -> None:
        super().__init__(status=202)
        self._make = make

    async def made(self) -> HttpResponseBase:
        """The real response, with the headers and cookies that the middleware gave this one."""
        response = await self._make()
        for name, value in self.items():
            response.headers.setdefault(name, value)
        response.cookies.update(self.cookies)
        response._handler_class = self._handler_class  # type: ignore[attr-defined]
        response._resource_closers += self._resource_closers  # type: ignore[attr-defined]
        return response
