"""`migrate` comes first, and nodes of the release before go on: nothing they insert, read or name may be taken away.

What counts is where all migrations of a release end. A deliberate second step ("what the old code used goes with the
release after") stands in SeparateDatabaseAndState, where nobody writes it by accident.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

OURS = {"accounts", "wallet", "topup", "llm", "notifications", "storage_backends", "sandbox"}
TAKES_AWAY = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
)


def fills_itself(field: Any) -> bool:
    """Whether a row can be inserted without naming the column."""
    return bool(field.null or field.has_db_default() or field.many_to_many or field.generated)


def breaks(operation: Operation, app: str, before: ProjectState, end: ProjectState) -> str:
    """What an operation does to code of the release before, and how to mend it; nothing when that code goes on."""
    name = f"{app}.{getattr(operation, 'model_name', getattr(operation, 'name', ''))}.{getattr(operation, 'name', '')}"
    if isinstance(operation, TAKES_AWAY):
        return f"{name} is still named by old code: take it out of the state alone, and drop it in the release after."
    if not isinstance(operation, migrations.AddField | migrations.AlterField):
        return ""
    model = (app, operation.model_name_lower)
    if model not in before.models:
        return ""
    if isinstance(operation, migrations.AddField):
        field = end.models[model].fields.get(operation.name) if model in end.models else None
        return f"{name} is not inserted by old code: give it a db_default." if field and not fills_itself(field) else ""
    old, new = before.models[model].fields.get(operation.name), operation.field
    narrower = old is not None and fills_itself(old) and (old.null > new.null or not fills_itself(new))
    return f"{name} may be left out or null for old code: keep it so until the release after." if narrower else ""


def findings(migration: migrations.Migration, before: ProjectState, end: ProjectState) -> Iterator[str]:
    app = migration.app_label
    for operation in migration.operations:
        if not isinstance(operation, migrations.SeparateDatabaseAndState):
            yield breaks(operation, app, before, end)
            continue
        for taken in operation.state_operations:
            if isinstance(taken, migrations.RemoveField):
                field = before.models[app, taken.model_name_lower].fields[taken.name]
                if not fills_itself(field):
                    yield f"{app}.{taken.model_name}.{taken.name} is not inserted by new code: first let it be null."


def history() -> Iterator[tuple[migrations.Migration, ProjectState]]:
    """Every migration of ours, and the tables as they were before it."""
    loader = MigrationLoader(None)
    state = ProjectState()
    for key in loader.graph._generate_plan(loader.graph.leaf_nodes(), at_end=True):
        migration = loader.graph.nodes[key]
        if key[0] in OURS:
            yield migration, state
        state = migration.mutate_state(state)


def test_code_of_the_release_before_goes_on_after_each_migration() -> None:
    loader = MigrationLoader(None)
    end = loader.project_state()
    found = [text for migration, before in history() for text in findings(migration, before, end) if text]
    assert found == []


LINE = {"model_name": "line", "name": "text"}
SECOND_STEP = migrations.SeparateDatabaseAndState
BREAKING = {
    "a new column that must be named": migrations.AddField("line", "new", models.CharField(default="")),
    "a column gone": migrations.RemoveField(**LINE),
    "a column renamed": migrations.RenameField("line", "text", "words"),
    "a table gone": migrations.DeleteModel("line"),
    "a table renamed": migrations.RenameModel("line", "row"),
    "no null any more": migrations.AlterField("line", "note", models.TextField(db_default="")),
    "no default any more": migrations.AlterField("line", "count", models.IntegerField(default=0)),
    "gone from new code, still to be named": SECOND_STEP(state_operations=[migrations.RemoveField(**LINE)]),
}
HARMLESS = {
    "a new column with a default": migrations.AddField("line", "new", models.CharField(db_default="", default="")),
    "a new column that may be null": migrations.AddField("line", "new", models.TextField(null=True)),
    "wider": migrations.AlterField(**LINE, field=models.TextField(null=True)),
    "gone from new code": SECOND_STEP(state_operations=[migrations.RemoveField("line", "note")]),
    "a table nobody knew": migrations.CreateModel("other", [("text", models.TextField())]),
}


def tried(operation: Operation) -> list[str]:
    fields = [
        ("text", models.TextField()),
        ("note", models.TextField(null=True)),
        ("count", models.IntegerField(db_default=0, default=0)),
    ]
    before = ProjectState()
    migrations.CreateModel("line", fields).state_forwards("app", before)
    migration = migrations.Migration("0002_change", "app")
    migration.operations = [operation]
    return [text for text in findings(migration, before, migration.mutate_state(before)) if text]


@pytest.mark.parametrize("what", BREAKING)
def test_what_breaks_old_code_is_found(what: str) -> None:
    assert len(tried(BREAKING[what])) == 1


@pytest.mark.parametrize("what", HARMLESS)
def test_what_old_code_does_not_notice_is_allowed(what: str) -> None:
    assert tried(HARMLESS[what]) == []
