"""Conversations as a file: Markdown to read, JSON with every branch for programs. Made piece by piece, however many
there are. What a model wrote is labelled as such, in words and for programs (GB 45438-2025)."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.http import StreamingHttpResponse

from voicehelper import clock
from voicehelper.accounts.models import User

from ..models import ChatMessage, ChatSession
from ..relay.threads import in_thread
from .branches import Tree, answers_of
from .continued import whole_text

JSON, MARKDOWN = "json", "markdown"
_CONTENT_TYPES = {JSON: "application/json; charset=utf-8", MARKDOWN: "text/markdown; charset=utf-8"}
_SUFFIXES = {JSON: "json", MARKDOWN: "md"}
# Not translated: a file is read by others than who made it.
LABEL = "AI 生成 / AI-generated"
# What the standard wants beside the words: 1 says that it is generated, not that it may be.
AIGC = {"Label": "1", "ContentProducer": "VoiceHelper"}
# Looked up in one go.
_AT_ONCE = 20


async def exported(user: User, kind: str, session: ChatSession | None = None) -> AsyncIterator[bytes]:
    """The pieces of the file: one conversation, or all of them, the newest first. `kind` is JSON or MARKDOWN."""
    show = _json if kind == JSON else _markdown
    yield await in_thread(_begin, kind)
    first, last = True, None
    while found := [session] if session else await in_thread(_some, user, last):
        for each in found:
            yield (b"" if first else _between(kind)) + await in_thread(show, each)
            first = False
        last = found[-1].pk
        if session:
            break
    yield _end(kind)


def whole(session: ChatSession, kind: str) -> Iterator[bytes]:
    """One conversation as a file, for whoever is on no event loop."""
    yield _begin(kind)
    yield _json(session) if kind == JSON else _markdown(session)
    yield _end(kind)


def download(user: User, kind: str, session: ChatSession | None = None) -> StreamingHttpResponse:
    """The same as a file that is kept; on the event loop."""
    name = f"{session.public_id if session else 'conversations'}.{_SUFFIXES[kind]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(exported(user, kind, session), content_type=_CONTENT_TYPES[kind], headers=headers)


def _some(user: User, before: int | None) -> list[ChatSession]:
    rows = ChatSession.objects.filter(user=user).order_by("-pk")
    return list((rows if before is None else rows.filter(pk__lt=before))[:_AT_ONCE])


def _begin(kind: str) -> bytes:
    about = {"exported": clock.beijing_iso(clock.now()), "label": LABEL, "AIGC": AIGC}
    if kind == JSON:
        return _compact(about)[:-1] + b',"conversations":[\n'
    head = f"---\nAIGC: {json.dumps(AIGC)}\n---\n\n> {LABEL}\n\n"
    return head.encode()


def _end(kind: str) -> bytes:
    return b"\n]}\n" if kind == JSON else b""


def _between(kind: str) -> bytes:
    return b",\n" if kind == JSON else b"\n---\n\n"


# --- JSON ------------------------------------------------------------------------------------------------------------
def _json(session: ChatSession) -> bytes:
    messages = ChatMessage.objects.filter(session=session).select_related("question").order_by("pk")
    tree = Tree(session)
    said = {
        "sessionId": session.public_id,
        "title": session.title,
        "created": clock.beijing_iso(session.created),
        "systemPrompt": session.system_prompt,
        "messages": [_message(tree, each) for each in messages],
    }
    return _compact(said)


def _message(tree: Tree, message: ChatMessage) -> dict[str, Any]:
    parent = tree.parents.get(message.pk)
    before = message.question.public_id if message.question else tree.ids.get(parent or 0)
    said: dict[str, Any] = {
        "messageId": message.public_id,
        "parentId": before,
        "role": message.role,
        "content": message.content,
        "created": clock.beijing_iso(message.created),
    }
    if message.continues:
        said["continues"] = True
    if message.attachments:
        said["attachments"] = [each["name"] for each in message.attachments]
    if message.role == ChatMessage.Role.ASSISTANT:
        said |= {"model": message.model_name, "state": message.state, "quota": message.quota, "label": LABEL}
        said["AIGC"] = AIGC | {"ProduceID": message.public_id}
    return said


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# --- Markdown --------------------------------------------------------------------------------------------------------
def _markdown(session: ChatSession) -> bytes:
    return "".join(_paragraphs(session)).encode()


def _paragraphs(session: ChatSession) -> Iterator[str]:
    tree = Tree(session)
    line = tree.line(tree.newest)
    asked, answers = ChatMessage.objects.in_bulk(line), answers_of(line)
    yield f"# {session.shown}\n\n"
    for pk, follows in zip(line, [*line[1:], None], strict=True):
        question, answer = asked[pk], answers.get(pk)
        if not question.continues:
            yield f"## {clock.beijing_iso(question.created)}\n\n{_quoted(question.content)}\n\n"
        # One that was gone on with stands where it ends.
        ends = follows is None or not asked[follows].continues
        if ends and answer is not None and (content := whole_text(answer)):
            yield f"**{answer.model_name} · {LABEL}**\n\n{content}\n\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
