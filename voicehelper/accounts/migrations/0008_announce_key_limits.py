"""PostgreSQL tells every process, too, when a key's limits change; what its budget counts is told to nobody."""

from django.db import migrations

_TRIGGER = """
CREATE OR REPLACE TRIGGER apikey_changed AFTER DELETE OR UPDATE OF {columns} ON accounts_apikey
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_key_limits")]
    operations = [
        migrations.RunSQL(
            _TRIGGER.format(columns="revoked_at, expires_at, model_names, addresses, budget_id"),
            _TRIGGER.format(columns="revoked_at"),
        )
    ]
