"""The names that Claude Code asks for lead to a Claude model."""

from django.db import migrations

from llm.seeds import plant_aliases


def forwards(apps, schema_editor):
    plant_aliases(apps.get_model("llm", "Alias"))


class Migration(migrations.Migration):
    dependencies = [("llm", "0012_aliases")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
