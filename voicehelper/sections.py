"""A settings section that operators edit: one typed row per section, made on first use."""

from collections.abc import Collection
from typing import Any, Self

from django.db import models

from .typed import as_seen


class Section(models.Model):
    """Base of a singleton row. `load()` reads it (fresh each time: a change in the admin counts at once everywhere)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="%(app_label)s_%(class)s_only_one")]

    @classmethod
    def load(cls) -> Self:
        row: Self | None = cls._default_manager.filter(pk=1).first()
        return row or cls._default_manager.get_or_create(pk=1)[0]

    @classmethod
    def locked(cls) -> Self:
        """The row, locked until the transaction under way ends."""
        rows = cls._default_manager.select_for_update()
        row: Self | None = rows.filter(pk=1).first()
        return row or rows.get_or_create(pk=1)[0]

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Texts lose what nobody sees of them; a merchant number with a mark inside would be another."""
        for field in self._meta.fields:
            value = getattr(self, field.attname)
            if isinstance(field, models.CharField) and isinstance(value, str):
                setattr(self, field.attname, as_seen(value))
        super().clean_fields(exclude)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A settings section is never deleted; clear its fields instead.")
