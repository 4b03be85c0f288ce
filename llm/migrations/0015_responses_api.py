"""Which accounts answer OpenAI's Responses, and which models nothing else."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0014_model_facts")]

    operations = [
        migrations.AddField(
            "credential",
            "responses_api",
            models.CharField(
                blank=True,
                choices=[("", "as far as is known of the provider"), ("yes", "supported"), ("no", "not supported")],
                db_default="",
                default="",
                max_length=8,
                verbose_name="Responses API",
            ),
        ),
        migrations.AddField(
            "model",
            "responses_api",
            models.CharField(
                blank=True,
                choices=[("", "as its account does"), ("only", "only that"), ("never", "never")],
                db_default="",
                default="",
                max_length=8,
                verbose_name="Responses API",
            ),
        ),
    ]
