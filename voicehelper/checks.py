"""Start-up checks: wrong or missing configuration is an error with a hint, never a surprise in the middle of a payment.

Settings refuse what cannot be read at all; these checks refuse what can be read but must not run.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import WARNING, CheckMessage, Error, Tags, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

# Values that stand in examples and tutorials.
_EXAMPLES = ("change-me", "changeme", "secret", "django-insecure-", "your-secret-key", "xxx")
_MENDED_POSTGRES = (18, 7)


@register(Tags.security)
def check_secret_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    key = settings.SECRET_KEY
    if len(key) < 40 or len(set(key)) < 10 or key.lower().startswith(_EXAMPLES):
        return [
            Error(
                "SECRET_KEY is too short or an example value.", hint="Use 50 random characters.", id="voicehelper.E001"
            )
        ]
    return []


@register(Tags.security)
def check_encryption_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    hint = "Make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
    for key in settings.SECRET_KEYS:
        try:
            Fernet(key)
        except ValueError:
            return [
                Error(
                    "VOICEHELPER_SECRET_KEYS holds a value that is not a Fernet key.", hint=hint, id="voicehelper.E002"
                )
            ]
    return []


@register(Tags.security)
def check_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if settings.DEBUG:
        found.append(Error("DEBUG shows secrets to strangers.", hint="Unset it.", id="voicehelper.E003"))
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS accepts every host name.", hint="Name yours, separated by commas.", id="voicehelper.E004"
            )
        )
    if 0 < len(settings.METRICS_TOKEN) < 20:
        found.append(Error("METRICS_TOKEN can be guessed.", hint="Use 30 random characters.", id="voicehelper.E007"))
    return found


@register()
def check_static_files(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each static file of this code is among those collected: a page that names one which is not is a 500. Not tagged
    `staticfiles`: collecting runs the checks that are."""
    if not settings.PRODUCTION:
        return []
    collected = getattr(staticfiles_storage, "hashed_files", {})
    found = {path for finder in get_finders() for path, _storage in finder.list(StaticFilesConfig.ignore_patterns)}
    missing = sorted(found - collected.keys())
    if not missing:
        return []
    return [
        Error(
            f"{len(missing)} of {len(found)} static files are not collected, {missing[0]} for one.",
            hint="Run: python manage.py collectstatic --noinput (the image does).",
            id="voicehelper.E008",
        )
    ]


@register(Tags.database, deploy=True)
def check_tables_and_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The database is this code's, and its secrets are for our keys. Runs with `--deploy --database default` and
    before a server starts; not before `migrate`, which mends the first."""
    from voicehelper import health

    if not settings.PRODUCTION or "default" not in (databases or []):
        return []
    if (state := health.migrations()) != "ok":
        return [Error(state, id="voicehelper.E009")]
    if (state := health.keys()) != "ok":
        return [Error(state, id="voicehelper.E010")]
    return []


@register(Tags.database, deploy=True)
def check_sessions(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A node that may want more sessions than there are fails when it is busiest; it is refused before."""
    from voicehelper import sessions

    if not settings.PRODUCTION or "default" not in (databases or []):
        return []
    wanted, there = sessions.of_this_node(), sessions.allowed()
    if wanted <= there:
        return []
    return [
        Error(
            f"This node may open {wanted} sessions at PostgreSQL, which allows {there}.",
            hint="Raise max_connections (or the limit of the role or database), or lower WEB_CONCURRENCY, WEB_THREADS,"
            " NOTICE_THREADS or FILE_THREADS.",
            id="voicehelper.E011",
        )
    ]


@register(Tags.database)
def check_demo_accounts(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The demo's passwords are public; a production database must not know them. Runs with `--database default`."""
    from django.contrib.auth.hashers import check_password

    from voicehelper.accounts.models import User

    if not settings.PRODUCTION or "default" not in (databases or []) or not _migrated():
        return []
    users = User.objects.filter(username__in=["admin", "demo"], is_active=True)
    return [
        Error(
            f"{user.username} still has the demo password.",
            hint="Change it or deactivate the user.",
            id="voicehelper.E006",
        )
        for user in users
        if check_password(user.username, user.password)
    ]


@register(Tags.database)
def check_postgres(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warns of a server with a known hole. Runs with `--database default`, and so with `make run` and `migrate`."""
    if "default" not in (databases or []):
        return []
    version = connection.get_database_version()
    if version >= _MENDED_POSTGRES:
        return []
    return [
        CheckMessage(
            WARNING,
            f"PostgreSQL {'.'.join(map(str, version))} is older than 18.7, which mends CVE-2026-6460.",
            hint="Update the server; an older major has a release of its own. The demo's only this machine can reach.",
            id="voicehelper.W001",
        )
    ]


def _migrated() -> bool:
    return "accounts_user" in connection.introspection.table_names()


def refuse_to_start_wrongly() -> None:
    """Run these checks in production and raise ImproperlyConfigured: Django runs them for its commands, and not for a
    server."""
    if not settings.PRODUCTION:
        return
    # In a thread: uvicorn imports its application on the event loop, where Django refuses to ask a database.
    with ThreadPoolExecutor(1) as thread:
        serious = thread.submit(_serious_findings).result()
    if serious:
        raise ImproperlyConfigured("\n".join(map(str, serious)))


def _serious_findings() -> list[CheckMessage]:
    try:
        found = run_checks(databases=["default"], include_deployment_checks=True)
        return [message for message in found if message.is_serious()]
    finally:
        connection.close()
