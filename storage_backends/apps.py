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
        self._join_the_admin()

    def _join_the_admin(self) -> None:
        """Its pages in the menu, and what it shows on the front page."""
        from voicehelper.admin import menu
        from voicehelper.admin.menu import MenuPage

        menu.add(
            menu.FILES,
            MenuPage(10, _("Files"), "folder", "storage_backends.storedfile"),
            MenuPage(20, _("Buckets"), "database", "storage_backends.bucket"),
            MenuPage(30, _("Retention"), "auto_delete", "storage_backends.retention"),
            MenuPage(40, _("Archives"), "inventory_2", "storage_backends.archive"),
        )
