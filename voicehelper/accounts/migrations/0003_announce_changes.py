"""PostgreSQL tells every process when a key is revoked, or a user is deactivated or changes group.

`voicehelper_announce()` serves other apps' tables as well. NOTIFY travels at commit, and only for these rare changes.
"""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION voicehelper_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('voicehelper_changed', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER apikey_changed AFTER DELETE OR UPDATE OF revoked_at ON accounts_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
CREATE TRIGGER user_changed AFTER UPDATE OF is_active, "group" ON accounts_user
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""
BACKWARDS = """
DROP TRIGGER user_changed ON accounts_user;
DROP TRIGGER apikey_changed ON accounts_apikey;
DROP FUNCTION voicehelper_announce();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_apikey")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
