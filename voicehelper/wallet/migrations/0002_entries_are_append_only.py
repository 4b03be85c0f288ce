"""A trigger refuses UPDATE and DELETE on entries: not even our own bug can rewrite the books.

TRUNCATE stays possible for the table's owner, or test databases could not be flushed.
"""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION wallet_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallet_entry is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON wallet_entry
    FOR EACH ROW EXECUTE FUNCTION wallet_entry_is_append_only();
"""
BACKWARDS = """
DROP TRIGGER entry_append_only ON wallet_entry;
DROP FUNCTION wallet_entry_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("wallet", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
