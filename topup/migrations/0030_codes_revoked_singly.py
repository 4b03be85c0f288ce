"""A single code can be revoked, with a reason. Every column fills itself: nodes of the release before make codes too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0029_calls_by_kind")]

    operations = [
        migrations.AddField(
            model_name="redemptioncode",
            name="revoked_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="revoked"),
        ),
        migrations.AddField(
            model_name="redemptioncode",
            name="revoked_by",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=150, verbose_name="revoked by"
            ),
        ),
        migrations.AddField(
            model_name="redemptioncode",
            name="reason",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=200, verbose_name="reason"
            ),
        ),
    ]
