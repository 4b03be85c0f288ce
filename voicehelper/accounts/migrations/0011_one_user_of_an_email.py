"""A confirmed address belongs to one user. Nobody waits to sign up while the index is built."""

import django.db.models.functions.text
from django.db import migrations, models

IMPATIENT, PATIENT = "RESET statement_timeout; RESET lock_timeout", "SET statement_timeout = 0; SET lock_timeout = 0"
REMAINS = "DROP INDEX CONCURRENTLY IF EXISTS user_of_verified_email"
INDEX = """
CREATE UNIQUE INDEX CONCURRENTLY user_of_verified_email ON accounts_user (lower(email))
    WHERE email_verified_at IS NOT NULL
"""


class Migration(migrations.Migration):
    # What is built beside running code cannot stand in a transaction.
    atomic = False

    dependencies = [("accounts", "0010_email_of_users")]

    operations = [
        migrations.RunSQL(PATIENT, IMPATIENT),
        # What a try that was broken off leaves behind is good for nothing.
        migrations.RunSQL(REMAINS, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(INDEX, REMAINS)],
            [
                migrations.AddConstraint(
                    model_name="user",
                    constraint=models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email_verified_at__isnull", False)),
                        name="user_of_verified_email",
                    ),
                )
            ],
        ),
        migrations.RunSQL(IMPATIENT, PATIENT),
    ]
