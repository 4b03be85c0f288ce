"""Django's sessions in the database, whose rows end when sessions.py says: each request moves the end on, and nothing
that is saved in between moves it further."""

from datetime import datetime
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """`ends`: when the session of somebody who is signed in does, as its row says or is about to; None: by its age."""

    ends: datetime | None = None

    def _get_session_from_db(self) -> Any:
        row = super()._get_session_from_db()
        self.ends = row.expire_date if row else None
        return row

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        if self.ends is not None and SESSION_KEY in data:
            row.expire_date = self.ends
        return row

    def flush(self) -> None:
        super().flush()
        self.ends = None
