"""What is spent with keys that were made before there were budgets is counted from now on."""

from django.db import migrations


def forwards(apps, schema_editor):
    keys, budgets = apps.get_model("accounts", "ApiKey"), apps.get_model("wallet", "Budget")
    for key in keys.objects.filter(budget=None, revoked_at=None).iterator():
        key.budget = budgets.objects.create()
        key.save(update_fields=["budget"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_announce_key_limits")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
