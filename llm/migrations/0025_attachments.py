"""Questions keep which files went along with them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0022_messages_to_arrange")]

    operations = [
        migrations.AddField(
            model_name="chatmessage",
            name="attachments",
            field=models.JSONField(db_default=[], default=list, editable=False),
        ),
    ]
