from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("accounts", "0009_budgets_of_old_keys")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_verified_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="email confirmed"),
        ),
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=10, verbose_name="language"),
        ),
        migrations.AddField(
            model_name="user",
            name="new_email",
            field=models.EmailField(blank=True, db_default="", default="", editable=False, max_length=254, verbose_name="email to be confirmed"),
        ),
    ]
