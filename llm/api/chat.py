"""Chatting: ask, whole or streamed; sessions and their messages; the models there are to choose from."""

from django.conf import settings
from django.http import JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.api import frames, ratelimit
from voicehelper.api.paging import PAGING, page_of
from voicehelper.api.views import UserView, idempotency_key

from .. import services
from ..chat import conversations, export, sessions, words
from ..chat.conversations import Answer, AnswerUnderWay, Turn
from ..chat.sessions import NotFound
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
        return conversations.ask(
            self.user,
            form["content"],
            session_id=form["sessionId"],
            model=form["model"],
            key=key,
            parent=form.get("parentId"),
            setting=shapes.setting_of(form),
            continues=form["continues"],
            attachments=form.get("attachments", ()),
        )


class MessageView(Asking):
    """Ask, and get the whole answer. Who does not wait for it finds it in the session."""

    @extend_schema(
        summary=_("Ask, and get the whole answer"),
        request=shapes.QuestionShape,
        responses=frames.or_refused(shapes.AnswerShape),
        parameters=[_KEY],
    )
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
        summary=_("Ask, and get the answer as it is written"),
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

    @extend_schema(
        summary=_("Conversations, the one used last first"), responses=frames.or_refused(frames.Page), parameters=PAGING
    )
    def get(self, request: Request) -> Response:
        rows = sessions.sessions_of(self.user)
        return Response({"success": True, "data": page_of(request, rows, shapes.session_json)})

    @extend_schema(
        summary=_("Delete all conversations"),
        operation_id="chat_sessions_destroy_all",
        responses=frames.or_refused(frames.Done),
    )
    def delete(self, request: Request) -> Response:
        """Delete all of them."""
        sessions.delete_all_sessions(self.user)
        return Response({"success": True})


class OneSession(UserView):
    """Rename, pin, set or delete a session."""

    @extend_schema(
        summary=_("Change a conversation"), request=shapes.SessionShape, responses=frames.or_refused(frames.One)
    )
    def patch(self, request: Request, session_id: str) -> Response:
        changes = shapes.setting_of(self.form(shapes.SessionShape, request.data))
        session = sessions.change_session(self.user, session_id, changes)
        return Response({"success": True, "data": shapes.session_json(session)})

    @extend_schema(summary=_("Delete a conversation"), responses=frames.or_refused(frames.Done))
    def delete(self, request: Request, session_id: str) -> Response:
        sessions.delete_session(self.user, session_id)
        return Response({"success": True})


class Search(UserView):
    """Where the user's conversations have all the words of `q`: titles first, then messages, newest first; fifty at
    the most."""

    @extend_schema(
        summary=_("Search one’s conversations: titles first, then messages; the fifty newest at the most"),
        responses=frames.or_refused(frames.ListShape),
        parameters=[shapes.SearchShape],
    )
    def get(self, request: Request) -> Response:
        text = self.form(shapes.SearchShape, request.query_params)["q"]
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-search-user", str(self.user.pk)))
        return Response({"success": True, "data": [shapes.hit_json(hit) for hit in words.search(self.user, text)]})


class Export(UserView):
    """A session, or all of them, as a file: Markdown with the branch that was asked in last, or JSON with all of it."""

    @extend_schema(
        summary=_("One conversation, or all, as a file: Markdown, or JSON with every branch"),
        responses={
            **frames.or_refused(OpenApiTypes.STR, "text/markdown"),
            (200, "application/json"): OpenApiTypes.OBJECT,
        },
        parameters=[shapes.FileShape],
    )
    def get(self, request: Request, session_id: str = "") -> HttpResponseBase:
        kind = self.form(shapes.FileShape, request.query_params)["fileType"]
        session = sessions.session_of(self.user, session_id) if session_id else None
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "chat-export-user", str(self.user.pk)))
        user = self.user

        async def make() -> StreamingHttpResponse:
            return export.download(user, kind, session)

        return self.later(make)


class Messages(UserView):
    """The messages of a session, oldest first."""

    @extend_schema(
        summary=_("Messages of a conversation, oldest first"),
        responses=frames.or_refused(frames.Page),
        parameters=PAGING,
    )
    def get(self, request: Request, session_id: str) -> Response:
        rows = conversations.messages_of(self.user, session_id)
        return Response({"success": True, "data": page_of(request, rows, shapes.message_json)})


class OneMessage(UserView):
    """One message: `state` is complete, writing, stopped, broken or failed (no model answered: the question can be
    asked again, with the same key too); after a stop, to learn what the answer cost (`settled`)."""

    @extend_schema(
        summary=_("One message, its state and its cost"),
        operation_id="chat_message_retrieve",
        responses=frames.or_refused(frames.One),
    )
    def get(self, request: Request, message_id: str) -> Response:
        message = conversations.message_of(self.user, message_id)
        return Response({"success": True, "data": shapes.message_json(message)})


class RestOfAnswer(UserView):
    """An answer as server-sent events from a place on, while it is written or later: start, delta …, then done, stopped
    or error. The id of the last one that came, as Last-Event-ID, is such a place too."""

    @extend_schema(
        summary=_("The rest of an answer, from a place on"),
        responses=frames.or_refused(shapes.StreamEvent, "text/event-stream"),
        parameters=[shapes.EventsShape],
    )
    def get(self, request: Request, message_id: str) -> HttpResponseBase:
        asked, last = request.query_params.dict(), request.headers.get("Last-Event-ID")
        after = self.form(shapes.EventsShape, {**asked, "after": last} if last else asked)["after"]
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

    @extend_schema(
        summary=_("Stop an answer"),
        request=shapes.StopShape,
        responses=frames.or_refused(frames.One),
        parameters=[_KEY],
    )
    def post(self, request: Request) -> Response:
        message_id, key = self.form(shapes.StopShape, request.data)["messageId"], idempotency_key(request)
        message = conversations.stop(self.user, message_id=message_id, key=key)
        return Response({"success": True, "data": shapes.message_json(message)})


class Models(UserView):
    """The models one can chat with, and what they cost this user."""

    @extend_schema(summary=_("Models for chatting, and what they cost"), responses=frames.or_refused(frames.ListShape))
    def get(self, request: Request) -> Response:
        data = [shapes.offer_json(offer) for offer in services.offers_now(self.user, "chat")]
        return Response({"success": True, "data": data})
