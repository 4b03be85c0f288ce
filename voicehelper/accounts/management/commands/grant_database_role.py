"""manage.py grant_database_role: who runs the product may use its tables, and owns none of them.

Run as the role that owns the tables, after each `migrate`; again changes nothing. The running role cannot switch a
trigger off, empty a table or change its columns, and not rewrite the books even without the trigger.
"""

import os
from argparse import ArgumentParser
from typing import Any, LiteralString

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from psycopg import sql

# What settings.DATABASES asks for, for sessions that come through a pooler, which passes no options on.
_DEFAULTS = {
    "statement_timeout": "15s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "synchronous_commit": "on",
    "timezone": "UTC",
}
_GRANTS: LiteralString = """
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role};
REVOKE UPDATE, DELETE ON wallet_entry FROM {role};
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role};
"""


class Command(BaseCommand):
    help = "Lets a role use the tables and own none. Makes it when DATABASE_ROLE_PASSWORD says with which password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", help="the DATABASE_USER of web, worker and beat")

    def handle(self, *args: Any, **options: Any) -> None:
        role, password = options["role"], os.environ.get("DATABASE_ROLE_PASSWORD", "")
        with transaction.atomic(), connection.cursor() as cursor:
            found = _look(cursor, role)
            if found is None and not password:
                raise CommandError(f"There is no role {role}. Set DATABASE_ROLE_PASSWORD, and it is made.")
            if found and any(found):
                raise CommandError(f"{role} is a superuser, or owns tables here: name a role that is neither.")
            name = sql.Identifier(role)
            if found is None:
                _do(cursor, "CREATE ROLE {role} LOGIN", role=name)
            if password:
                # Its digest: statements are logged.
                digest = connection.connection.pgconn.encrypt_password(
                    password.encode(), role.encode(), b"scram-sha-256"
                )
                _do(cursor, "ALTER ROLE {role} PASSWORD {digest}", role=name, digest=sql.Literal(digest.decode()))
            for setting, value in _DEFAULTS.items():
                names = {"role": name, "setting": sql.Identifier(setting), "value": sql.Literal(value)}
                _do(cursor, "ALTER ROLE {role} SET {setting} = {value}", **names)
            _do(cursor, _GRANTS, role=name, database=sql.Identifier(connection.settings_dict["NAME"]))
        self.stdout.write(f"{role} may use the tables, and owns none.")


def _look(cursor: Any, role: str) -> tuple[bool, bool] | None:
    """Whether the role is a superuser, and whether it owns a table; None when there is no such role."""
    cursor.execute(
        "SELECT rolsuper, EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid AND relkind = 'r')"
        " FROM pg_roles WHERE rolname = %s",
        [role],
    )
    found: tuple[bool, bool] | None = cursor.fetchone()
    return found


def _do(cursor: Any, template: LiteralString, **names: sql.Composable) -> None:
    """A statement about names, which PostgreSQL takes as no parameters: psycopg quotes them."""
    statement = sql.SQL(template).format(**names)
    cursor.execute(statement)
