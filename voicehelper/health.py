"""Is everything up? For load balancers and `make run`."""

from functools import cache

import redis
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database and Redis answer, else 503. Says which does not, and nothing else."""
    parts = {"database": _database(), "redis": _redis()}
    return JsonResponse(parts, status=200 if all(state == "ok" for state in parts.values()) else 503)


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when this server can take requests: the database answers and has the tables this code wants, and pages find
    their static files. Redis is not needed for that: without it everything still works, more slowly."""
    parts = {"database": _database(), "static": _static()}
    if parts["database"] == "ok":
        parts["migrations"] = "ok" if _migrated() else "missing"
    return JsonResponse(parts, status=200 if all(state == "ok" for state in parts.values()) else 503)


def _migrated() -> bool:
    if not _waiting_migrations():
        return True
    # Asked again until it is so; after that it stays so.
    _waiting_migrations.cache_clear()
    return False


@cache
def _waiting_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _static() -> str:
    """In production every page that names a static file is a 500 without the list of those collected."""
    return "ok" if not settings.PRODUCTION or getattr(staticfiles_storage, "hashed_files", None) else "missing"


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
