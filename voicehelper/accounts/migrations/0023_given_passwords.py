from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0022_operators_at_work"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="password_given",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
