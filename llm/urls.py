"""Routes of the user's side of large models. /v1 is answered in front of Django, see voicehelper/asgi.py."""

from django.urls import path

from .api import chat, keys, usage, voice

app_name = "llm"

urlpatterns = [
    path("api/chat/message", chat.MessageView.as_view(), name="api_message"),
    path("api/chat/stream", chat.StreamView.as_view(), name="api_stream"),
    path("api/chat/stop", chat.Stop.as_view(), name="api_stop"),
    path("api/chat/sessions", chat.Sessions.as_view(), name="api_sessions"),
    path("api/chat/search", chat.Search.as_view(), name="api_search"),
    path("api/chat/export", chat.Export.as_view(), name="api_export"),
    path("api/chat/sessions/<str:session_id>/export", chat.Export.as_view(), name="api_session_export"),
    path("api/chat/sessions/<str:session_id>", chat.OneSession.as_view(), name="api_session"),
    path("api/chat/sessions/<str:session_id>/messages", chat.Messages.as_view(), name="api_messages"),
    path("api/chat/messages/<str:message_id>", chat.OneMessage.as_view(), name="api_message_of"),
    path("api/chat/messages/<str:message_id>/events", chat.RestOfAnswer.as_view(), name="api_message_events"),
    path("api/chat/models", chat.Models.as_view(), name="api_models"),
    path("api/voice/transcribe", voice.Transcribe.as_view(), name="api_transcribe"),
    path("api/voice/speech", voice.Speak.as_view(), name="api_speech"),
    path("api/user/keys", keys.Keys.as_view(), name="api_keys"),
    path("api/user/keys/<int:key_id>", keys.OneKey.as_view(), name="api_key"),
    path("api/user/usage", usage.Calls.as_view(), name="api_usage"),
    path("api/user/usage/summary", usage.Summary.as_view(), name="api_usage_summary"),
]
