"""Claude Code with its defaults: reading, looking, editing, and what of it reaches the provider."""

import json
from pathlib import Path
from typing import Any

import pytest

from llm.models import Alias, Model
from sandbox.upstream.pictures import landscape

from . import page
from .conftest import Deployment
from .mind import fingerprint
from .tap import tapped

PDF = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 200 200]>> endobj
trailer <</Size 4 /Root 1 0 R>>
%%EOF
"""


def ask(clients: Deployment, *tasks: str, **variables: str) -> str:
    """What Claude Code says in the end."""
    place = clients.variables("claude-code.env") | variables
    options = ["--output-format", "json", "--allowedTools", "Read,Edit"]
    told = json.loads(clients.npm("claude", "-p", "\n".join(tasks), *options, **place))
    assert (told["is_error"], told["permission_denials"]) == (False, [])
    return str(told["result"])


@pytest.fixture
def notes(clients: Deployment) -> Path:
    path = clients.folder / "notes.txt"
    path.write_text("first line\nSECRET-0badcafe\n")
    return path


def blocks(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """All blocks of a kind, also those in results of tools."""
    found, left = [], [body["messages"]]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            found += [inner] if inner.get("type") == kind else []
            inner = list(inner.values())
        left += inner if isinstance(inner, list) else []
    return found


def test_it_reads_a_file_and_edits_it(clients: Deployment, notes: Path) -> None:
    assert "SECRET-0badcafe" in ask(clients, f"read {notes}", f"edit {notes}: first -> second")
    assert notes.read_text() == "second line\nSECRET-0badcafe\n"
    assert len(clients.bodies) == 4


def test_it_looks_up_a_tool_that_was_not_told_of(clients: Deployment) -> None:
    ask(clients, "look up WebFetch")
    first, second = clients.bodies
    assert ["WebFetch" in [tool["name"] for tool in body["tools"]] for body in (first, second)] == [False, True]
    assert blocks(second, "tool_reference") == [{"type": "tool_reference", "tool_name": "WebFetch"}]


def test_it_looks_at_a_picture(clients: Deployment) -> None:
    picture = clients.folder / "picture.png"
    picture.write_bytes(landscape(8, 8, "0123456789abcdef"))
    assert f"image/png {fingerprint(picture.read_bytes())}" in ask(clients, f"read {picture}")
    assert blocks(clients.bodies[-1], "image")


def test_it_reads_a_pdf(clients: Deployment) -> None:
    document = clients.folder / "paper.pdf"
    document.write_bytes(PDF)
    assert f"application/pdf {fingerprint(PDF)}" in ask(clients, f"read {document}")
    assert blocks(clients.bodies[-1], "document")


def test_the_provider_gets_what_it_sent_but_for_the_models_name_and_limit(clients: Deployment, notes: Path) -> None:
    """Cache marks, thoughts with their signatures, and the betas it asks for are as it wrote them."""
    with tapped(clients.server.address) as tap:
        variables = page.variables("claude-code.env", address=tap.address, key=clients.key)
        assert "SECRET-0badcafe" in ask(clients, f"read {notes}", **variables)
    assert len(tap.sent) == len(clients.provider.asked) == 2
    for sent, got in zip(tap.sent, clients.provider.asked, strict=True):
        changed = {name for name in sent.body | got.body if sent.body.get(name) != got.body.get(name)}
        assert changed <= {"model", "max_tokens"}
        assert got.body["model"] == "claude-sonnet-4-5-20250929"
        assert got.body["max_tokens"] == min(64_000, sent.body["max_tokens"])
        assert "cache_control" in str(sent.body)
        for name in ("anthropic-beta", "anthropic-version"):
            assert got.request.headers[name] == sent.headers[name]
    assert blocks(clients.bodies[-1], "thinking")[0]["signature"] == "c2lnbmVk"


@pytest.fixture
def foreign(clients: Deployment) -> Deployment:
    """An operator without Claude, whose alias leads to another provider's model."""
    Alias.objects.all().delete()
    Alias.objects.create(pattern="claude-*", model=Model.objects.get(name="doubao-pro"))
    return clients


def test_it_works_with_a_model_that_does_not_speak_its_protocol(foreign: Deployment, notes: Path) -> None:
    assert "SECRET-0badcafe" in ask(foreign, f"read {notes}", f"edit {notes}: first -> second")
    assert notes.read_text() == "second line\nSECRET-0badcafe\n"
    assert {asked.path for asked in foreign.provider.asked} == {"/v1/chat/completions"}


@pytest.mark.parametrize("name", ["picture.png", "paper.pdf"])
def test_such_a_model_sees_pictures_and_documents(foreign: Deployment, name: str) -> None:
    path = foreign.folder / name
    path.write_bytes(PDF if name == "paper.pdf" else landscape(8, 8, "0123456789abcdef"))
    assert fingerprint(path.read_bytes()) in ask(foreign, f"read {path}")


def test_such_a_model_looks_up_tools(foreign: Deployment) -> None:
    assert "WebFetch can be called now" in ask(foreign, "look up WebFetch")
    assert "WebFetch" in [tool["function"]["name"] for tool in foreign.bodies[-1]["tools"]]
