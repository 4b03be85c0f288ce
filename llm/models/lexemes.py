"""A column of words that are looked for together: PostgreSQL's tsvector, without positions."""

from typing import Any

from django.db import models
from django.db.models import Lookup


class LexemesField(models.Field[Any, Any]):
    """Distinct, not empty words, as they are: nothing is stemmed or left out. `words__matches=` takes a tsquery."""

    def db_type(self, connection: Any) -> str:
        return "tsvector"

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "array_to_tsvector(%s::text[])"


@LexemesField.register_lookup
class Matches(Lookup[Any]):
    """Whether a tsquery is true of the words."""

    lookup_name = "matches"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        return "%s", [value]

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        words, of_words = self.process_lhs(compiler, connection)
        query, of_query = self.process_rhs(compiler, connection)
        return f"{words} @@ {query}::tsquery", [*of_words, *of_query]
