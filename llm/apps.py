from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = _("Large models")

    def ready(self) -> None:
        """What this app adds to the audit, to /metrics, to the API document and to what errors are answered with."""
        from voicehelper import metrics as all_metrics
        from voicehelper import retention as all_logs
        from voicehelper.accounts import exports, forgetting
        from voicehelper.api import document, errors
        from voicehelper.wallet import adding_up, origins
        from voicehelper.wallet import audit as whole_audit
        from voicehelper.wallet import margins as all_margins

        from . import audit, exporting, margins, metrics, refusals, retention, usage, usage_days
        from .api import v1_document
        from .pages.usage import calls_url

        whole_audit.register([*audit.CHECKS, *usage_days.CHECKS])
        adding_up.register(usage_days.add_up)
        all_metrics.register(metrics.collect)
        all_logs.register(*retention.LOGS)
        errors.register(refusals.REFUSALS)
        forgetting.register("llm", usage.forget_words)
        exports.register("llm", exporting.TALKS)
        document.register(v1_document.paths)
        origins.calls_listed_at(calls_url)
        all_margins.told_by(margins.margin_of)
        self._grant()
        self._join_the_admin()

    def _grant(self) -> None:
        """What roles may do with its rows."""
        from voicehelper import roles

        roles.grant(roles.SUPPORT, "llm", "view_usage")
        roles.grant(roles.FINANCE, "llm", "view_usage view_model")
        for model in ("credential", "model", "alias"):
            roles.grant(roles.MODELS, "llm", f"view_{model} add_{model} change_{model} delete_{model}")
        roles.grant(roles.MODELS, "llm", "view_usage")

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import front_page, menu
        from voicehelper.admin.menu import MenuPage

        from .admin import customer, finders, today

        customer.join()
        finders.join()
        front_page.shows(10, today.panel)
        menu.add(
            menu.MODELS,
            MenuPage(10, _("Provider accounts"), "key", "llm.credential"),
            MenuPage(20, _("Models and prices"), "neurology", "llm.model"),
            MenuPage(25, _("Aliases"), "alt_route", "llm.alias"),
            MenuPage(30, _("Model statistics"), "monitoring", "llm.usage", page="statistics"),
            MenuPage(35, _("Who spent what"), "leaderboard", "llm.usage", page="spenders"),
            MenuPage(40, _("Usage log"), "receipt", "llm.usage"),
            MenuPage(60, _("Chat sessions"), "forum", "llm.chatsession"),
            MenuPage(70, _("Content safety"), "shield", "llm.safetysettings"),
            MenuPage(80, _("Forbidden words"), "block", "llm.safetyword"),
            MenuPage(90, _("Safety verdicts"), "gavel", "llm.safetyverdict"),
        )
