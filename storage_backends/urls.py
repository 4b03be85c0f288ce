"""Routes of files."""

from django.urls import path

from . import api, pages

app_name = "storage_backends"

urlpatterns = [
    path("api/files/upload", api.Upload.as_view(), name="api_upload"),
    path("api/files", api.Files.as_view(), name="api_files"),
    path("api/files/<path:path>", api.OneFileView.as_view(), name="api_file"),
    path("exports/<path:path>", pages.export, name="export"),
    path("files/<path:path>", pages.signed, name="signed"),
]
