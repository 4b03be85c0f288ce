from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        """Say what this app adds to /metrics."""
        from voicehelper import metrics as all_metrics

        from . import metrics

        all_metrics.register(metrics.collect)
        self._grant()
        self._join_the_admin()

    def _grant(self) -> None:
        """What roles may do with its rows."""
        from voicehelper import roles

        roles.grant(roles.SUPPORT, "notifications", "view_alert")
        for role in (roles.FINANCE, roles.MODELS):
            roles.grant(role, "notifications", "view_alert change_alert")

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import front_page, menu
        from voicehelper.admin.menu import MenuPage

        from .admin import alerts, channels, jobs

        front_page.asks(10, alerts.open_alerts)
        front_page.asks(15, jobs.late_jobs)
        front_page.asks(90, channels.users_cannot_be_mailed)
        menu.add(
            menu.ALERTS,
            MenuPage(10, _("Alerts"), "notifications", "notifications.alert", badge=alerts.badge),
            MenuPage(20, _("Deliveries"), "outgoing_mail", "notifications.delivery"),
            MenuPage(30, _("Alert channels"), "campaign", "notifications.channel"),
            MenuPage(40, _("Alert rules"), "rule", "notifications.rule"),
            MenuPage(45, _("Muted alerts"), "notifications_off", "notifications.mute"),
            MenuPage(60, _("Scheduled jobs"), "schedule", "notifications.jobrun"),
        )
