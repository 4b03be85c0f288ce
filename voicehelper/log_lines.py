"""How lines of the log look (settings.LOGGING): for people, or as JSON."""

from typing import Any


def logging_of(form: str, level: str) -> dict[str, Any]:
    """For logging.config: `form` is line or json, `level` what is said at least."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": "voicehelper.middleware.AddRequestId"}},
        "formatters": {
            "line": {
                "()": "voicehelper.middleware.OneLine",
                "format": "{asctime} {levelname} {request_id} {name}: {message}",
                "datefmt": "%Y-%m-%dT%H:%M:%S%z",
                "style": "{",
            },
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": ["asctime", "levelname", "name", "message", "request_id"],
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                "datefmt": "%Y-%m-%dT%H:%M:%S%z",
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": form, "filters": ["request"]}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "celery": {"level": "WARNING"},
            "django": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            # uvicorn would write its own lines in its own way.
            "uvicorn": {"handlers": [], "propagate": True},
            # Not even told to write none does it stop: what is said of its parent would turn this one on again.
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
