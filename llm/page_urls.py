"""Routes of the pages: chat, API keys, usage."""

from django.urls import path

from . import key_pages, pages, usage_pages

app_name = "chat"

urlpatterns = [
    path("chat", pages.chat, name="new"),
    path("chat/<str:session_id>", pages.chat, name="session"),
    path("chat/<str:session_id>/rename", pages.rename, name="rename"),
    path("chat/<str:session_id>/delete", pages.delete, name="delete"),
    path("keys", key_pages.keys, name="keys"),
    path("keys/<int:key_id>/revoke", key_pages.revoke, name="revoke"),
    path("usage", usage_pages.usage, name="usage"),
    path("usage.csv", usage_pages.usage_csv, name="usage_csv"),
]
