from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StorageBackendsConfig(AppConfig):
    name = "storage_backends"
    verbose_name = _("Files")

    def ready(self) -> None:
        from . import refusals  # noqa: F401  # registers what this app's exceptions are answered with
