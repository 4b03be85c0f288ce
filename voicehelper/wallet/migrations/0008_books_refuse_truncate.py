"""Nor may TRUNCATE empty the books: it asks no trigger of rows. Tests empty them with triggers asleep, as a superuser."""

from django.db import migrations

FORWARDS = """
CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON wallet_entry
    FOR EACH STATEMENT EXECUTE FUNCTION wallet_entry_is_append_only();
CREATE TRIGGER closedperiod_no_truncate BEFORE TRUNCATE ON wallet_closedperiod
    FOR EACH STATEMENT EXECUTE FUNCTION wallet_closedperiod_is_append_only();
"""
BACKWARDS = """
DROP TRIGGER entry_no_truncate ON wallet_entry;
DROP TRIGGER closedperiod_no_truncate ON wallet_closedperiod;
"""


class Migration(migrations.Migration):
    dependencies = [("wallet", "0007_closed_periods")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
