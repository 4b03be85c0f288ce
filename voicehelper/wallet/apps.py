from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WalletConfig(AppConfig):
    name = "voicehelper.wallet"
    label = "wallet"
    verbose_name = _("Wallet")

    def ready(self) -> None:
        """Say what this app adds to the audit and to /metrics."""
        from voicehelper import metrics as all_metrics

        from . import adding_up, audit, checks, day_sums, metrics

        audit.register([*checks.CHECKS, day_sums.day_sums_are_the_sums_of_entries])
        adding_up.register(day_sums.add_up)
        all_metrics.register(metrics.collect)
        self._grant()
        self._join_the_admin()

    def _grant(self) -> None:
        """What roles may do with its rows."""
        from voicehelper import roles

        roles.grant(roles.SUPPORT, "wallet", "view_wallet view_entry view_hold")
        roles.grant(roles.FINANCE, "wallet", "view_wallet view_entry view_hold view_auditrun view_closedperiod")
        roles.grant(roles.FINANCE, "wallet", "view_adjustment add_adjustment change_adjustment")

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import front_page, menu
        from voicehelper.admin.menu import MenuPage

        from .admin import customer, findings

        customer.join()
        front_page.asks(30, findings)
        menu.add(
            menu.LEDGER,
            MenuPage(10, _("Wallets"), "account_balance_wallet", "wallet.wallet"),
            MenuPage(20, _("Entries"), "list_alt", "wallet.entry"),
            MenuPage(30, _("Holds"), "lock_clock", "wallet.hold"),
            MenuPage(40, _("Adjustments"), "tune", "wallet.adjustment"),
            MenuPage(50, _("Audit runs"), "fact_check", "wallet.auditrun"),
            MenuPage(60, _("Closed periods"), "lock", "wallet.closedperiod"),
        )
        menu.add(menu.SETTINGS, MenuPage(40, _("Wallet settings"), "account_balance_wallet", "wallet.walletsettings"))
