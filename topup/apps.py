from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from voicehelper.admin.menu import MenuPage


class TopupConfig(AppConfig):
    name = "topup"
    verbose_name = _("Recharge")

    def ready(self) -> None:
        """Say what this app adds to the audit, to /metrics and to the answers to errors, what quota costs, and what is
        done when an account is deleted."""
        from notifications.events import PLATFORMS
        from voicehelper import metrics as all_metrics
        from voicehelper import retention as all_logs
        from voicehelper.accounts import deleting, exports, passwords
        from voicehelper.accounts import forgetting as everywhere
        from voicehelper.api import errors
        from voicehelper.wallet import adding_up, worth
        from voicehelper.wallet import audit as whole_audit

        from . import audit, metrics, order_days, refusals, retention
        from .gateways import GATEWAYS
        from .models import GatewaySettings, RechargeSettings
        from .services import exporting, forgetting
        from .services.accounts import keep_account

        GatewaySettings.accounts_are_kept_by(keep_account)
        whole_audit.register([*audit.CHECKS, *order_days.CHECKS])
        adding_up.register(order_days.add_up)
        whole_audit.register_open_ends(audit.still_to_be_asked)
        all_metrics.register(metrics.collect)
        all_logs.register(*retention.LOGS)
        errors.register(refusals.REFUSALS)
        deleting.register_obstacle(forgetting.unfinished_orders)
        everywhere.register_names(forgetting.openids_of)
        everywhere.register("topup", forgetting.forget_buyer)
        passwords.register_words(lambda: (text for each in GATEWAYS.values() for text in (each.name, each.label)))
        exports.register("topup", exporting.RECHARGES)
        worth.sold_by(lambda: RechargeSettings.load().list_price())
        self._explain_statements()
        PLATFORMS.update({name: gateway.label for name, gateway in GATEWAYS.items()})
        self._grant()
        self._join_the_admin()

    def _explain_statements(self) -> None:
        from voicehelper.wallet.account_statement import LineKind
        from voicehelper.wallet.origins import named_by

        from .pages import origins

        named_by(LineKind.TOPUP, origins.recharges)
        named_by(LineKind.REFUND, origins.refunds)

    def _grant(self) -> None:
        """What roles may do with its rows."""
        from voicehelper import roles

        for names in ("view_order change_order view_refund view_notice", "view_codebatch view_redemptioncode"):
            roles.grant(roles.SUPPORT, "topup", names)
        for names in (
            "view_order change_order view_refund add_refund change_refund",
            "view_reconciliation change_reconciliation view_difference change_difference",
            "view_codebatch add_codebatch view_redemptioncode",
            "view_notice change_notice view_gatewaycall view_rechargesettings",
        ):
            roles.grant(roles.FINANCE, "topup", names)

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import front_page

        from .admin import customer, dashboard, finders

        customer.join()
        finders.join()
        front_page.begins(dashboard.first_steps)
        front_page.shows(10, dashboard.figures, above=True)
        front_page.asks(20, dashboard.open_matters)
        front_page.shows(20, dashboard.income)
        self._fill_the_menu()

    def _fill_the_menu(self) -> None:
        from voicehelper.admin import menu
        from voicehelper.admin.menu import MenuPage

        menu.add(
            menu.RECHARGE,
            MenuPage(10, _("All orders"), "receipt_long", "topup.order"),
            MenuPage(20, _("Refunds"), "undo", "topup.refund"),
            MenuPage(30, _("Reconciliation"), "balance", "topup.reconciliation"),
            MenuPage(40, _("Differences"), "difference", "topup.difference"),
            MenuPage(50, _("Recharge statistics"), "bar_chart", "topup.order", page="statistics"),
            MenuPage(60, _("Notices"), "move_to_inbox", "topup.notice"),
            MenuPage(70, _("Gateway calls"), "swap_horiz", "topup.gatewaycall"),
            MenuPage(80, _("Redemption codes"), "redeem", "topup.codebatch"),
            MenuPage(85, _("Single codes"), "confirmation_number", "topup.redemptioncode"),
        )
        menu.add(menu.SETTINGS, MenuPage(10, _("Recharge settings"), "sell", "topup.rechargesettings"))
        menu.add_from(menu.SETTINGS, _gateways)


def _gateways() -> "Iterator[MenuPage]":
    """The settings page of each."""
    from voicehelper.admin.menu import MenuPage

    from .gateways import GATEWAYS
    from .models import GatewaySettings

    for page in map(GatewaySettings.of, GATEWAYS):
        yield MenuPage(20, page._meta.verbose_name, "qr_code_2", page._meta.label_lower)
