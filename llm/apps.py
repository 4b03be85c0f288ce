from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = _("Large models")

    def ready(self) -> None:
        from voicehelper.api import errors

        from . import refusals

        errors.register(refusals.REFUSALS)
