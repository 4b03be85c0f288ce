"""Modules of the pages: fetched at once where many are needed, and never of two releases at the same time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.test import Client

from llm.models import ChatMessage, ChatSession
from voicehelper.accounts.models import User
from voicehelper.static_files import HashedModules

STATIC = Path(__file__).parent.parent / "static"
_IMPORTS = re.compile(r'^import .*?from "(.*?)";|import\("(\./.*?)"\)', re.MULTILINE)


def _closure(name: str) -> set[str]:
    """The modules that a module imports, directly or not, but for those of others that it may want later."""
    found: set[str] = set()
    waiting = [STATIC / name]
    while waiting:
        module = waiting.pop()
        for pair in _IMPORTS.findall(module.read_text()):
            other = (module.parent / (pair[0] or pair[1])).resolve()
            if str(other.relative_to(STATIC)) not in found:
                found.add(str(other.relative_to(STATIC)))
                waiting.append(other)
    return found


def _preloaded(page: Any) -> list[str]:
    return re.findall(r'rel="modulepreload" href="/static/(.*?)"', page.content.decode())


@pytest.mark.django_db(transaction=True)
def test_a_page_names_all_modules_it_needs_so_that_none_waits_for_another(client: Client) -> None:
    user = User.objects.create_user("buyer")
    client.force_login(user)
    session = ChatSession.objects.create(user=user, public_id="s")
    question = ChatMessage.objects.create(public_id="q", session=session, role="user", content="?", placed=True)
    ChatMessage.objects.create(public_id="a", session=session, role="assistant", content="!", question=question)
    said = _closure("js/markdown.js") | {"js/markdown.js"}
    with_words = _preloaded(client.get("/chat/s"))
    assert sorted(with_words) == sorted(_closure("js/chat.js"))
    # What draws answers is not fetched for a page without one.
    assert sorted(_preloaded(client.get("/chat"))) == sorted(_closure("js/chat.js") - said)


def _ours() -> Iterator[tuple[str, tuple[FileSystemStorage, str]]]:
    for finder in finders.get_finders():
        for path, storage in finder.list([]):
            if (STATIC / path).is_file():
                yield path, (storage, path)


def test_the_name_of_a_module_changes_with_what_it_imports(tmp_path: Path) -> None:
    storage = HashedModules(location=str(tmp_path), base_url="/static/")
    files = dict(_ours())
    for path, (there, name) in files.items():
        with there.open(name) as content:
            storage.save(path, content)
    _collect(storage, files)
    page, before = storage.stored_name("js/chat.js"), storage.stored_name("js/nodes.js")
    assert "./answer.js" not in (tmp_path / page).read_text()
    assert (
        f'"../{storage.stored_name("vendor/markdown-it.js")}"'
        in (tmp_path / storage.stored_name("js/syntax.js")).read_text()
    )
    (tmp_path / "js/nodes.js").unlink()
    storage.save("js/nodes.js", ContentFile((STATIC / "js/nodes.js").read_bytes() + b"\n"))
    _collect(storage, {path: (storage, path) for path in files})
    assert storage.stored_name("js/nodes.js") != before
    assert storage.stored_name("js/chat.js") != page


def _collect(storage: HashedModules, files: dict[str, Any]) -> None:
    problems = [result for _name, _hashed, result in storage.post_process(files) if isinstance(result, Exception)]
    assert problems == []
