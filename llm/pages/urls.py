"""Routes of the pages: chat, API keys, usage."""

from django.urls import path

from . import chat, front, keys, sessions, usage

app_name = "chat"

urlpatterns = [
    path("prices", front.prices, name="prices"),
    path("first-steps", front.first_steps, name="first_steps"),
    path("chat", chat.chat, name="new"),
    path("chat/<str:session_id>", chat.chat, name="session"),
    path("chat/<str:session_id>/again/<str:message_id>", chat.again, name="again"),
    path("chat/<str:session_id>/rename", sessions.rename, name="rename"),
    path("chat/<str:session_id>/pin", sessions.pin, name="pin"),
    path("chat/<str:session_id>/setting", sessions.setting, name="setting"),
    path("chat/<str:session_id>/export", sessions.download, name="download"),
    path("chat/<str:session_id>/delete", sessions.delete, name="delete"),
    path("conversations", sessions.older, name="older"),
    path("conversations/find", sessions.find, name="find"),
    path("conversations/export", sessions.download, name="download_all"),
    path("conversations/delete", sessions.delete_all, name="delete_all"),
    path("keys", keys.keys, name="keys"),
    path("keys/<int:key_id>", keys.key, name="key"),
    path("keys/<int:key_id>/revoke", keys.revoke, name="revoke"),
    path("usage", usage.usage, name="usage"),
    path("usage.csv", usage.usage_csv, name="usage_csv"),
]
