"""Is everything up? For load balancers and `make run`."""

from functools import cache

import redis
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from voicehelper import leaving, secrets


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database and Redis answer, else 503. Says which does not, and nothing else."""
    parts = {"database": _database(), "redis": _redis()}
    return JsonResponse(parts, status=200 if all(state == "ok" for state in parts.values()) else 503)


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when this server can take requests and is to have them: it was not told to stop, the database answers and has
    the tables this code wants, pages find their static files, and stored secrets their keys. What is not "ok" says how
    to mend it. Redis is not needed: without it everything still works, more slowly."""
    parts = {"server": leaving.word(), "database": _database(), "static": static_files()}
    if parts["database"] == "ok":
        parts |= {"migrations": migrations(), "keys": keys()}
    return JsonResponse(parts, status=200 if all(state == "ok" for state in parts.values()) else 503)


def migrations() -> str:
    """ "ok", or what is missing and how to mend it."""
    if not (waiting := _waiting_migrations()):
        return "ok"
    # Asked again until it is so; after that it stays so.
    _waiting_migrations.cache_clear()
    return f"{waiting} migrations are missing. Run, as the owner of the tables: python manage.py migrate"


@cache
def _waiting_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def keys() -> str:
    """ "ok", or that the keys are not those the stored secrets were encrypted with. One that none of them opens is its
    own page's business; all of them are this server's."""
    if _keys_open():
        return "ok"
    _keys_open.cache_clear()
    return "No stored secret can be read. Put the key they were saved with back into VOICEHELPER_SECRET_KEYS."


@cache
def _keys_open() -> bool:
    read, unread = secrets.sample()
    return bool(read or not unread)


def static_files() -> str:
    """ "ok", or how to mend it. In production every page that names a static file is a 500 without their list."""
    if not settings.PRODUCTION or getattr(staticfiles_storage, "hashed_files", None):
        return "ok"
    return "Static files are not collected. Run: python manage.py collectstatic --noinput (the image has them)"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "down"
    return "ok"


def _redis() -> str:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as client:
            client.ping()
    except redis.RedisError:
        return "down"
    return "ok"
