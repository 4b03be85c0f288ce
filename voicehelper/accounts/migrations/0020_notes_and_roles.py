import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# Only UPDATE: what is known of a person goes with the person.
FORWARDS = """
CREATE FUNCTION usernote_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A note is never changed: add another one.';
END $$;
CREATE TRIGGER usernote_append_only BEFORE UPDATE ON accounts_usernote
    FOR EACH ROW EXECUTE FUNCTION usernote_refuse_change();
"""
BACKWARDS = """
DROP TRIGGER usernote_append_only ON accounts_usernote;
DROP FUNCTION usernote_refuse_change();
"""


class Migration(migrations.Migration):

    dependencies = [("accounts", "0019_low_balance_notices"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.CreateModel(
            name="UserNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("author", models.CharField(editable=False, max_length=150, verbose_name="written by")),
                ("text", models.TextField(editable=False, verbose_name="note")),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="time")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="notes", to=settings.AUTH_USER_MODEL, verbose_name="user")),
            ],
            options={
                "verbose_name": "note about a user",
                "verbose_name_plural": "notes about users",
                "default_permissions": ("add",),
                "indexes": [models.Index(fields=["user", "-id"], name="note_of_user")],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.CreateModel(
            name="BuiltInRole",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(editable=False, max_length=16, unique=True)),
                ("given", models.JSONField(db_default=models.Value([], models.JSONField()), default=list, editable=False)),
                ("group", models.OneToOneField(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="built_in_role", to="auth.group", verbose_name="role")),
            ],
            options={"default_permissions": ()},
        ),
    ]
