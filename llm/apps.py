from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = _("Large models")

    def ready(self) -> None:
        """What this app adds to the audit, to /metrics, to the API document and to what errors are answered with."""
        from voicehelper import metrics as all_metrics
        from voicehelper import retention as all_logs
        from voicehelper.api import document, errors
        from voicehelper.wallet import audit as whole_audit

        from . import audit, metrics, refusals, retention
        from .api import v1_document

        whole_audit.register(audit.CHECKS)
        all_metrics.register(metrics.collect)
        all_logs.register(*retention.LOGS)
        errors.register(refusals.REFUSALS)
        document.register(v1_document.paths)
        self._join_the_admin()

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import front_page, menu
        from voicehelper.admin.menu import MenuPage

        from .admin import today

        front_page.shows(10, today.panel)
        menu.add(
            menu.MODELS,
            MenuPage(10, _("Provider accounts"), "key", "llm.credential"),
            MenuPage(20, _("Models and prices"), "neurology", "llm.model"),
            MenuPage(25, _("Aliases"), "alt_route", "llm.alias"),
            MenuPage(30, _("Model statistics"), "monitoring", "llm.usage", page="statistics"),
            MenuPage(40, _("Usage log"), "receipt", "llm.usage"),
            MenuPage(60, _("Chat sessions"), "forum", "llm.chatsession"),
            MenuPage(70, _("Content safety"), "shield", "llm.safetysettings"),
            MenuPage(80, _("Forbidden words"), "block", "llm.safetyword"),
            MenuPage(90, _("Safety verdicts"), "gavel", "llm.safetyverdict"),
        )
