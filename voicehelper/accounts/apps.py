from django.apps import AppConfig, apps
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "voicehelper.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from voicehelper import checks  # noqa: F401  # registers the start-up checks of the whole project
        from voicehelper.api import errors

        from . import backends, exports, own_choice, own_copy, proof, refusals, returning, second_factor, services

        user_logged_in.connect(services.remember_language, dispatch_uid="accounts.language")
        user_logged_in.connect(second_factor.mark, dispatch_uid="accounts.second_factor")
        user_logged_in.connect(proof.note_sign_in, dispatch_uid="accounts.proof")
        user_logged_in.connect(backends.note_sign_in, dispatch_uid="accounts.known_devices")
        user_logged_in.connect(own_choice.mark, dispatch_uid="accounts.own_choice")
        user_logged_out.connect(returning.note_sign_out, dispatch_uid="accounts.returning")
        errors.register(refusals.REFUSALS)
        exports.register("accounts", own_copy.ACCOUNT)
        self._grant()
        self._join_the_admin()

    def _grant(self) -> None:
        """What roles may, and that they are made once everything else was migrated."""
        from voicehelper import roles

        from .roles import plant

        roles.grant(roles.SUPPORT, "accounts", "view_user help_user add_usernote view_apikey change_apikey view_share")
        roles.grant(roles.FINANCE, "accounts", "view_user add_usernote view_apikey")
        roles.grant(roles.MODELS, "accounts", "view_apikey")
        last = [config for config in apps.get_app_configs() if config.models_module is not None][-1]
        post_migrate.connect(plant, sender=last, dispatch_uid="accounts.roles")

    def _join_the_admin(self) -> None:
        """Its pages in the menu."""
        from voicehelper.admin import menu
        from voicehelper.admin.menu import MenuPage

        from .admin import customer_page, finders

        customer_page.join()
        finders.join()
        menu.add(menu.MODELS, MenuPage(50, _("API keys"), "password", "accounts.apikey"))
        menu.add(
            menu.USERS,
            MenuPage(10, _("Users"), "person", "accounts.user"),
            MenuPage(15, _("Account deletions"), "person_remove", "accounts.accountdeletion"),
            MenuPage(20, _("Roles"), "group", "auth.group"),
            MenuPage(30, _("Shares"), "share", "accounts.share"),
        )
        menu.add(menu.SETTINGS, MenuPage(80, _("Encryption keys"), "key_vertical", "accounts.secretrotation"))
        menu.add(menu.ALERTS, MenuPage(50, _("Operators’ log"), "history", "admin.logentry"))
        menu.add(
            menu.USERS,
            MenuPage(40, _("Legal texts"), "gavel", "accounts.legaltext"),
            MenuPage(50, _("Consents"), "task_alt", "accounts.consent"),
        )
        menu.add(menu.SETTINGS, MenuPage(40, _("Site information"), "web", "accounts.sitesettings"))
        menu.add(menu.SETTINGS, MenuPage(30, _("Mini program settings"), "smartphone", "accounts.miniprogramsettings"))
        menu.add(menu.SETTINGS, MenuPage(35, _("WeChat sign-in on the web"), "qr_code", "accounts.websitesettings"))
