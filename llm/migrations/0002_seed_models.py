"""The models that come along."""

from django.db import migrations

from llm.seeds import plant


def forwards(apps, schema_editor):
    plant(apps.get_model("llm", "Model"))


class Migration(migrations.Migration):
    dependencies = [("llm", "0001_initial")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
