"""Both languages are complete."""

from babel.messages.pofile import read_po
from django.conf import settings


def test_every_text_in_the_catalogue_has_a_chinese_translation() -> None:
    with (settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po").open("rb") as stream:
        catalog = read_po(stream, locale="zh_Hans")
    assert len(catalog) > 100
    missing = [message.id for message in catalog if message.id and (not message.string or message.fuzzy)]
    assert missing == []
