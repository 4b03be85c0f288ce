from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("accounts", "0020_notes_and_roles")]

    operations = [
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": [("help_user", "Can help user")],
                "swappable": "AUTH_USER_MODEL",
                "verbose_name": "user",
                "verbose_name_plural": "users",
            },
        ),
    ]
