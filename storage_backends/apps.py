from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StorageBackendsConfig(AppConfig):
    name = "storage_backends"
    verbose_name = _("Files")

    def ready(self) -> None:
        """Say what this app's exceptions are answered with."""
        from voicehelper.api import errors

        from . import refusals

        errors.register(refusals.REFUSALS)
