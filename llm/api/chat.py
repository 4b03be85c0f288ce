"""Chatting: ask, whole or streamed; sessions and their messages; the models there are to choose from."""

from django.conf import settings
from django.http import JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api import frames, ratelimit
from voicehelper.api.paging import PAGING, page_of
from voicehelper.api.views import UserView, idempotency_key

from .. import services
from ..chat import conversations
from ..chat.conversations import Answer, AnswerUnderWay, NotFound, Turn
from ..chat.writings import reading, writings
from . import events, shapes

_KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="Makes a repeat safe; ≤128 characters."
)


class Asking(UserView):
    """What both ways to ask have in common."""

    def ask(self, request: Request) -> Turn | Answer:
        form, key = self.form(shapes.QuestionShape, request.data), idempotency_key(request)
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-user", str(self.user.pk)))
        whom = {"session_id": form["sessionId"], "model": form["model"]}
        return conversations.ask(self.user, form["content"], **whom, key=key, attachments=form.get("attachments", ()))


class MessageView(Asking):
    """Ask, and get the whole answer. Who does not wait for it finds it in the session."""

    @extend_schema(request=shapes.QuestionShape, responses=frames.or_refused(shapes.AnswerShape), parameters=[_KEY])
    def post(self, request: Request) -> HttpResponseBase:
        asked = self.ask(request)

        async def make() -> JsonResponse:
            answer = asked if isinstance(asked, Answer) else await writings().begin(asked).end()
            return JsonResponse(shapes.answer_json(answer))

        return self.later(make)


class StreamView(Asking):
    """Ask, and get the answer as server-sent events: start, delta …, then done, stopped or error. What goes wrong
    before the first words, and within ten seconds, is an ordinary error. A connection that is lost ends nothing: read
    on with the message's events, or by asking again with the same key."""

    @extend_schema(
        request=shapes.QuestionShape,
        responses=frames.or_refused(shapes.StreamEvent, "text/event-stream"),
        parameters=[_KEY],
    )
    def post(self, request: Request) -> HttpResponseBase:
        asked: Turn | Answer | str
        try:
            asked = self.ask(request)
        except AnswerUnderWay as error:
            if error.answer is None:
                raise
            asked = error.answer.public_id
        user = self.user

        async def make() -> StreamingHttpResponse:
            if isinstance(asked, Answer):
                return StreamingHttpResponse(events.again(asked), headers=events.HEADERS)
            if isinstance(asked, str):
                return StreamingHttpResponse(events.AnswerEvents(await reading(user, asked)), headers=events.HEADERS)
            writing = writings().begin(asked)
            await writing.begun(events.HEARTBEAT_S)
            return StreamingHttpResponse(events.AnswerEvents(writing), headers=events.HEADERS)

        return self.later(make)


class Sessions(UserView):
    """The user's sessions, the one used last first."""

    @extend_schema(responses=frames.or_refused(frames.Page), parameters=PAGING)
    def get(self, request: Request) -> Response:
        rows = conversations.sessions_of(self.user)
        return Response({"success": True, "data": page_of(request, rows, shapes.session_json)})


class OneSession(UserView):
    """Rename or delete a session."""

    @extend_schema(request=shapes.Title, responses=frames.or_refused(frames.One))
    def patch(self, request: Request, session_id: str) -> Response:
        session = conversations.rename_session(self.user, session_id, self.form(shapes.Title, request.data)["title"])
        return Response({"success": True, "data": shapes.session_json(session)})

    @extend_schema(responses=frames.or_refused(frames.Done))
    def delete(self, request: Request, session_id: str) -> Response:
        conversations.delete_session(self.user, session_id)
        return Response({"success": True})


class Messages(UserView):
    """The messages of a session, oldest first."""

    @extend_schema(responses=frames.or_refused(frames.Page), parameters=PAGING)
    def get(self, request: Request, session_id: str) -> Response:
        rows = conversations.messages_of(self.user, session_id)
        return Response({"success": True, "data": page_of(request, rows, shapes.message_json)})


class OneMessage(UserView):
    """One message: `state` is complete, writing, stopped or broken; after a stop, to learn what the answer cost
    (`settled`)."""

    @extend_schema(operation_id="chat_message_retrieve", responses=frames.or_refused(frames.One))
    def get(self, request: Request, message_id: str) -> Response:
        message = conversations.message_of(self.user, message_id)
        return Response({"success": True, "data": shapes.message_json(message)})


class RestOfAnswer(UserView):
    """An answer as server-sent events from a place on, while it is written or later: start, delta …, then done, stopped
    or error."""

    @extend_schema(
        responses=frames.or_refused(shapes.StreamEvent, "text/event-stream"), parameters=[shapes.EventsShape]
    )
    def get(self, request: Request, message_id: str) -> HttpResponseBase:
        after = self.form(shapes.EventsShape, request.query_params)["after"]
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-events-user", str(self.user.pk)))
        user = self.user
        if conversations.message_of(user, message_id).question_id is None:
            raise NotFound

        async def make() -> StreamingHttpResponse:
            told = events.AnswerEvents(await reading(user, message_id), after)
            return StreamingHttpResponse(told, headers=events.HEADERS)

        return self.later(make)


class Stop(UserView):
    """Stop an answer, by its messageId or, before that is known, by the Idempotency-Key of its question. What was
    written is kept and charged; one that is over stays as it is."""

    @extend_schema(request=shapes.StopShape, responses=frames.or_refused(frames.One), parameters=[_KEY])
    def post(self, request: Request) -> Response:
        message_id, key = self.form(shapes.StopShape, request.data)["messageId"], idempotency_key(request)
        message = conversations.stop(self.user, message_id=message_id, key=key)
        return Response({"success": True, "data": shapes.message_json(message)})


class Models(UserView):
    """The models one can chat with, and what they cost this user."""

    @extend_schema(responses=frames.or_refused(frames.ListShape))
    def get(self, request: Request) -> Response:
        data = [shapes.offer_json(offer) for offer in services.offers_now(self.user, "chat")]
        return Response({"success": True, "data": data})
