"""Codex with a provider of its own name in its configuration: it reads, looks at a picture and patches a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llm.models import Model
from sandbox.upstream.pictures import landscape

from .conftest import Deployment
from .mind import fingerprint


def ask(clients: Deployment, *tasks: str, model: str = "", how: Sequence[str] = ()) -> tuple[str, list[dict[str, Any]]]:
    """What Codex says in the end, and what it did on the way. `how` are more of its arguments."""
    home = clients.folder / "codex"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(clients.snippet("codex.toml"))
    options = ["--skip-git-repo-check", "--json", "--sandbox", "danger-full-access"]
    options += ["--model", model] if model else []
    variables = clients.variables("codex.env") | {"CODEX_HOME": str(home)}
    said = clients.npm("codex", "exec", *options, *how, "\n".join(tasks), **variables)
    items = [event["item"] for event in map(json.loads, said.splitlines()) if event["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == "agent_message"][-1], items


@pytest.fixture
def notes(clients: Deployment) -> Path:
    path = clients.folder / "notes.txt"
    path.write_text("first\nSECRET-0badcafe\n")
    return path


# gpt-5.5 is in its own catalogue and takes patches as plain text; what it does not know it offers functions alone. Its
# requests pass through to OpenAI and Ark, and are translated for the others.
PATHS = {
    "gpt-5.5": "/v1/responses",
    "gpt-4o": "/v1/responses",
    "doubao-pro": "/v1/responses",
    "gpt-3.5-turbo": "/v1/chat/completions",
    "claude-sonnet-4-5": "/v1/messages",
}
MODELS = pytest.mark.parametrize("model", PATHS)


@MODELS
def test_it_reads_a_file_and_edits_it(clients: Deployment, notes: Path, model: str) -> None:
    text, items = ask(clients, f"read {notes}", f"edit {notes}: first -> second", model=model)
    assert "SECRET-0badcafe" in text
    assert notes.read_text() == "second\nSECRET-0badcafe\n"
    changed = [item["changes"][0]["path"] for item in items if item["type"] == "file_change"]
    assert changed == ([str(notes)] if model == "gpt-5.5" else [])
    assert {item["status"] for item in items if item["type"] in ("command_execution", "file_change")} == {"completed"}
    assert [asked.path for asked in clients.provider.asked] == [PATHS[model]] * 4


def test_a_custom_tool_is_translated_for_a_chat(clients: Deployment, notes: Path) -> None:
    """A patch comes back as plain text, though the model could only call a function."""
    Model.objects.filter(name="gpt-5.5").update(responses_api="never")
    _text, items = ask(clients, f"edit {notes}: first -> second")
    assert [item["changes"][0]["path"] for item in items if item["type"] == "file_change"] == [str(notes)]
    assert notes.read_text() == "second\nSECRET-0badcafe\n"
    assert {asked.path for asked in clients.provider.asked} == {"/v1/chat/completions"}


def test_the_model_of_its_configuration_answers(clients: Deployment) -> None:
    assert ask(clients, "hello")[0] == "Hello! I am the stand-in."
    assert clients.bodies[0]["model"] == "gpt-5.5-2026-06-01"


@MODELS
def test_it_looks_at_a_picture(clients: Deployment, model: str) -> None:
    picture = clients.folder / "picture.png"
    picture.write_bytes(landscape(8, 8, "0123456789abcdef"))
    assert f"image/png {fingerprint(picture.read_bytes())}" in ask(clients, f"read {picture}", model=model)[0]


def test_tools_of_a_namespace_are_called_by_both_names(clients: Deployment) -> None:
    """Models that Codex does not know may open agents. It has none of that name, but knows the tool."""
    text, _items = ask(clients, "close agent-7", model="gpt-4o")
    assert "I was told" in text
    assert "unsupported call" not in text


@MODELS
def test_the_user_shows_it_a_picture(clients: Deployment, model: str) -> None:
    picture = clients.folder / "picture.png"
    picture.write_bytes(landscape(8, 8, "0123456789abcdef"))
    text, _items = ask(clients, "hello", model=model, how=["--image", str(picture), "--"])
    assert f"I was shown: image/png {fingerprint(picture.read_bytes())}" in text


@MODELS
def test_a_session_is_taken_up_again(clients: Deployment, notes: Path, model: str) -> None:
    """All of it is sent again, the calls of tools and their results with it."""
    ask(clients, f"edit {notes}: first -> second", model=model)
    text, _items = ask(clients, f"read {notes}", model=model, how=["resume", "--last"])
    assert "SECRET-0badcafe" in text
    assert len(clients.bodies) == 5
    assert [text in str(clients.bodies[-1]) for text in ("first", "second", "Done.")] == [True] * 3
