"""Routes of the pages: chat, API keys, usage."""

from django.urls import path

from . import chat, front, keys, usage

app_name = "chat"

urlpatterns = [
    path("prices", front.prices, name="prices"),
    path("first-steps", front.first_steps, name="first_steps"),
    path("chat", chat.chat, name="new"),
    path("chat/<str:session_id>", chat.chat, name="session"),
    path("chat/<str:session_id>/rename", chat.rename, name="rename"),
    path("chat/<str:session_id>/delete", chat.delete, name="delete"),
    path("keys", keys.keys, name="keys"),
    path("keys/<int:key_id>", keys.key, name="key"),
    path("keys/<int:key_id>/revoke", keys.revoke, name="revoke"),
    path("usage", usage.usage, name="usage"),
    path("usage.csv", usage.usage_csv, name="usage_csv"),
]
