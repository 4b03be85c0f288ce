from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StorageBackendsConfig(AppConfig):
    name = "storage_backends"
    verbose_name = _("Files")

    def ready(self) -> None:
        """Say what this app's exceptions are answered with, and what it does when data are copied, or deleted."""
        from voicehelper.accounts import exports, forgetting
        from voicehelper.api import errors

        from . import exporting, refusals, services, tasks

        errors.register(refusals.REFUSALS)
        forgetting.register("files", services.forget_files)
        forgetting.register("exports", exporting.forget_exports)
        exports.written_by(exports.Writer(tasks.write_export.delay, exporting.address_of, exporting.delete))
        exports.register("files", exporting.FILES)
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
