"""What the operators' log says of each line, their saved lists, and how far an encryption anew is.

A trigger refuses to change or delete a line of the log, or what it says. TRUNCATE asks no trigger of rows.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.serializers.json
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import voicehelper.accounts.operator_models

# What a line is about may go (its kind is set to null then); the line stays as it was. Who forgets a person says so for
# its transaction (forgetting.py), and may change the words of a line, not who did it, to what, or when.
FORWARDS = """
CREATE FUNCTION operators_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('voicehelper.forgets', true) = 'on'
        AND to_jsonb(NEW) - '{object_repr,change_message,values}'::text[]
            = to_jsonb(OLD) - '{object_repr,change_message,values}'::text[] THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'django_admin_log'
        AND to_jsonb(NEW) - 'content_type_id' = to_jsonb(OLD) - 'content_type_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER log_append_only BEFORE UPDATE OR DELETE ON django_admin_log
    FOR EACH ROW EXECUTE FUNCTION operators_log_is_append_only();
CREATE TRIGGER loggedchange_append_only BEFORE UPDATE OR DELETE ON accounts_loggedchange
    FOR EACH ROW EXECUTE FUNCTION operators_log_is_append_only();
"""
BACKWARDS = """
DROP TRIGGER loggedchange_append_only ON accounts_loggedchange;
DROP TRIGGER log_append_only ON django_admin_log;
DROP FUNCTION operators_log_is_append_only();
"""
NOW = django.db.models.functions.datetime.Now()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0021_help_users"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoggedChange",
            fields=[
                (
                    "entry",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="logged",
                        serialize=False,
                        to="admin.logentry",
                        verbose_name="log entry",
                    ),
                ),
                ("address", models.GenericIPAddressField(null=True, verbose_name="address")),
                (
                    "way",
                    models.CharField(
                        choices=voicehelper.accounts.operator_models.ways,
                        db_default="command",
                        default="command",
                        max_length=10,
                        verbose_name="came by",
                    ),
                ),
                (
                    "fields",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60),
                        db_default=[],
                        default=list,
                        size=None,
                        verbose_name="fields",
                    ),
                ),
                (
                    "values",
                    models.JSONField(
                        db_default=[],
                        default=list,
                        encoder=django.core.serializers.json.DjangoJSONEncoder,
                        verbose_name="values",
                    ),
                ),
                ("own_text", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "verbose_name": "logged change",
                "verbose_name_plural": "logged changes",
                "default_permissions": (),
                "indexes": [django.contrib.postgres.indexes.GinIndex(fields=["fields"], name="logged_fields")],
            },
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("model", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=40, verbose_name="name")),
                ("query", models.CharField(max_length=1000)),
                ("created", models.DateTimeField(db_default=NOW)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="operator",
                    ),
                ),
            ],
            options={
                "verbose_name": "saved view",
                "verbose_name_plural": "saved views",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("user", "model", "name"), name="view_one_of_a_name")
                ],
            },
        ),
        migrations.CreateModel(
            name="SecretRotation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("by", models.CharField(max_length=150, verbose_name="by")),
                ("started", models.DateTimeField(db_default=NOW, verbose_name="started")),
                ("beat", models.DateTimeField(null=True)),
                ("finished", models.DateTimeField(null=True, verbose_name="finished")),
                ("key", models.CharField(max_length=16)),
                ("model", models.CharField(blank=True, db_default="", default="", max_length=100)),
                ("after", models.CharField(blank=True, db_default="", default="", max_length=100)),
                ("done", models.PositiveBigIntegerField(db_default=0, default=0, verbose_name="done")),
                ("total", models.PositiveBigIntegerField(db_default=0, default=0, verbose_name="total")),
                ("unreadable", models.JSONField(db_default=[], default=list)),
            ],
            options={
                "verbose_name": "encryption anew",
                "verbose_name_plural": "secrets and their keys",
                "default_permissions": ("view", "change"),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("finished", None)), fields=("key",), name="rotation_one_open"
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
