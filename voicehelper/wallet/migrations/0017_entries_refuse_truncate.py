"""Nor may TRUNCATE empty the books: it asks no trigger of rows. Tests empty them with triggers asleep, as a superuser."""

from django.db import migrations

FORWARDS = """
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON wallet_entry
    FOR EACH STATEMENT EXECUTE FUNCTION wallet_entry_is_append_only();
"""
BACKWARDS = "DROP TRIGGER entry_no_truncate ON wallet_entry;"


class Migration(migrations.Migration):
    dependencies = [("wallet", "0006_budgets")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
