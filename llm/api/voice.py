"""Voice: a recording to text, and an answer to sound."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from storage_backends import services as files
from voicehelper.api import frames, ratelimit
from voicehelper.api.views import UserView

from ..chat import conversations, voice
from ..models import Spoken
from ..relay.threads import in_thread
from . import shapes

_VOICE = r"^[A-Za-z0-9_-]{1,64}\Z"


class RecordingShape(serializers.Serializer[Any]):
    """`audioPath` is the path of an upload. `language` like zh or en; without it the model finds out."""

    audioPath = shapes.PlainText(max_length=200)  # noqa: N815  # the mission's names
    language = serializers.RegexField(r"^[a-z]{2,3}\Z", required=False, default="")


class HeardAnswer(serializers.Serializer[Any]):
    text = serializers.CharField()
    duration = serializers.FloatField(help_text="Seconds.")
    model = serializers.CharField()
    quota = serializers.IntegerField()


class SpeechShape(serializers.Serializer[Any]):
    """Either an answer's `messageId`, or a `text`."""

    messageId = shapes.PlainText(max_length=40, default="")  # noqa: N815
    text = shapes.PlainText(max_length=conversations.LONGEST_QUESTION, default="")
    voice = serializers.RegexField(_VOICE, required=False, default=voice.VOICE)

    def validate(self, form: dict[str, Any]) -> dict[str, Any]:
        if bool(form["messageId"]) == bool(form["text"]):
            raise serializers.ValidationError("messageId / text")
        return form


class SpokenAnswer(serializers.Serializer[Any]):
    path = serializers.CharField()
    url = serializers.CharField(help_text="Plays it for ten minutes.")
    contentType = serializers.CharField()  # noqa: N815
    quota = serializers.IntegerField(help_text="What this call cost: 0 when it had been spoken before.")


class VoiceView(UserView):
    """What both have in common."""

    def brake(self) -> None:
        ratelimit.brake((settings.CHAT_RATE_LIMIT, "voice-user", str(self.user.pk)))


class Transcribe(VoiceView):
    """The text of an uploaded recording of up to a minute: mp3 (16 kHz, mono), wav, m4a, ogg, webm, flac."""

    @extend_schema(
        summary=_("The text of an uploaded recording"), request=RecordingShape, responses=frames.or_refused(HeardAnswer)
    )
    def post(self, request: Request) -> HttpResponseBase:
        form = self.form(RecordingShape, request.data)
        self.brake()
        user, recording = self.user, voice.recording_of(self.user, form["audioPath"])

        async def make() -> JsonResponse:
            heard = await voice.transcribe(user, recording, form["language"])
            told = {"text": heard.text, "duration": heard.seconds, "model": heard.model, "quota": heard.quota}
            return JsonResponse(told)

        return self.later(make)


class Speak(VoiceView):
    """An answer, or a text, as sound. It is paid once; asked for again, it is the same file. When it cannot be kept,
    the answer is the sound itself."""

    @extend_schema(
        summary=_("An answer or a text, spoken"), request=SpeechShape, responses=frames.or_refused(SpokenAnswer)
    )
    def post(self, request: Request) -> HttpResponseBase:
        form = self.form(SpeechShape, request.data)
        self.brake()
        spoken, text = voice.claim(self.user, message_id=form["messageId"], text=form["text"], voice=form["voice"])
        if spoken.path:
            return Response(_spoken_json(spoken, 0))

        async def make() -> HttpResponseBase:
            kept, done = await voice.speak(spoken, text, form["voice"])
            if not kept.path:
                return HttpResponse(done.result.content, content_type=done.result.content_type)
            return JsonResponse(await in_thread(_spoken_json, kept, done.quota))

        return self.later(make)


def _spoken_json(spoken: Spoken, quota: int) -> dict[str, Any]:
    file = files.file_of(spoken.user, spoken.path)
    return {"path": file.key, "url": files.signed_url(file), "contentType": file.content_type, "quota": quota}
