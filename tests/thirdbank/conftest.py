"""Adding a gateway: the one line in the table and the settings section, for as long as a test lasts."""

from collections.abc import Iterator
from importlib import import_module, reload

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.urls import clear_url_caches

from tests.thirdbank.bank import CONTRACT, KEY, Bank
from tests.thirdbank.gateway import ThirdBank
from topup.admin import settings as pages
from topup.gateways import GATEWAYS
from topup.services.options import write_options
from voicehelper import urls


@pytest.fixture
def third_bank(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    """The bank, with our gateway to it switched on by the options that its section has."""
    # What Django does when it starts: the table's line, the section's model, its page, the routes.
    monkeypatch.setitem(GATEWAYS, "thirdbank", ThirdBank)  # type: ignore[arg-type]  # a table for all but this
    section = import_module("tests.thirdbank.section").ThirdBankSettings
    apps.all_models["topup"]["thirdbanksettings"] = section
    pages.register("thirdbank")
    _routes()
    with connection.schema_editor() as editor:
        editor.create_model(section)
    try:
        with Bank.open() as bank:
            write_options(
                {
                    "ThirdbankContract": CONTRACT,
                    "ThirdbankKey": KEY,
                    "ThirdbankAddress": bank.url,
                    "ThirdbankEnabled": True,
                }
            )
            yield bank
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(section)
        admin.site.unregister(section)
        monkeypatch.undo()
        del apps.all_models["topup"]["thirdbanksettings"]
        apps.clear_cache()
        ContentType.objects.clear_cache()
        _routes()


def _routes() -> None:
    reload(import_module("topup.urls"))
    reload(urls)
    clear_url_caches()
