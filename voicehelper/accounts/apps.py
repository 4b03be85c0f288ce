from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "voicehelper.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from voicehelper import checks  # noqa: F401  # registers the start-up checks of the whole project
        from voicehelper.api import errors

        from . import refusals, second_factor, services

        user_logged_in.connect(services.remember_language, dispatch_uid="accounts.language")
        user_logged_in.connect(second_factor.mark, dispatch_uid="accounts.second_factor")
        errors.register(refusals.REFUSALS)
        self._join_the_admin()

    def _join_the_admin(self) -> None:
        """Its pages in the menu."""
        from voicehelper.admin import menu
        from voicehelper.admin.menu import MenuPage

        menu.add(menu.MODELS, MenuPage(50, _("API keys"), "password", "accounts.apikey"))
        menu.add(
            menu.USERS,
            MenuPage(10, _("Users"), "person", "accounts.user"),
            MenuPage(20, _("Roles"), "group", "auth.group"),
            MenuPage(30, _("Shares"), "share", "accounts.share"),
        )
        menu.add(menu.SETTINGS, MenuPage(80, _("Encryption keys"), "key_vertical", "accounts.secretrotation"))
        menu.add(menu.ALERTS, MenuPage(50, _("Operators’ log"), "history", "admin.logentry"))
        menu.add(menu.SETTINGS, MenuPage(30, _("Mini program settings"), "smartphone", "accounts.miniprogramsettings"))
