from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = _("Large models")

    def ready(self) -> None:
        from voicehelper.admin import front_page, menu
        from voicehelper.admin.menu import Page

        from .admin import today

        front_page.shows(10, today.panel)
        menu.add(
            menu.MODELS,
            Page(10, _("Provider accounts"), "key", "llm.credential"),
            Page(20, _("Models and prices"), "neurology", "llm.model"),
            Page(30, _("Model statistics"), "monitoring", "llm.usage", page="statistics"),
            Page(40, _("Usage log"), "receipt", "llm.usage"),
            Page(60, _("Chat sessions"), "forum", "llm.chatsession"),
        )
