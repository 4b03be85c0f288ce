"""Pictures and texts that go along with a question: files of the user's own, put to a model as it takes them.

What a file is, its bytes say. A picture goes up as it is, a text as text. Where the model does not see, pictures of
earlier questions are named in their place.
"""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage_backends import services as files
from voicehelper.accounts.models import User

from .. import services
from ..models import ChatMessage

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

MOST = 6
TEXT = "text/plain; charset=utf-8"
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MOST_PICTURE_BYTES = 10 * 1024**2
MOST_TEXT_BYTES = 200 * 1024
# Of all pictures of one question: base64 makes a third more of it, and providers take some 20 MB.
_MOST_BYTES = 14 * 1024**2


class TooManyAttached(Exception):
    """More files than go along with one question."""


class NotAttachable(Exception):
    """No model could do anything with this file: it is neither a picture nor a text."""


class AttachmentsTooLarge(Exception):
    """A picture, a text, or all of them together are larger than models take."""


class CannotSee(Exception):
    """A picture goes along, and the model that was chosen does not look at pictures."""


def attached(user: User, paths: Sequence[str], models: Sequence[str]) -> list[dict[str, Any]]:
    """What a message keeps of the files that go along with it to one of these models (none: any): path, name,
    contentType, size in bytes. Raises FileNotFound, also for other people's; NotAttachable, AttachmentsTooLarge,
    CannotSee."""
    found = [files.file_of(user, path) for path in dict.fromkeys(paths)]
    for file in found:
        if file.content_type not in PICTURES and file.content_type != TEXT:
            raise NotAttachable
        if file.size > (MOST_TEXT_BYTES if file.content_type == TEXT else MOST_PICTURE_BYTES):
            raise AttachmentsTooLarge
    if sum(file.size for file in found) > _MOST_BYTES:
        raise AttachmentsTooLarge
    kept = [
        {"path": file.key, "name": file.name, "contentType": file.content_type, "size": file.size} for file in found
    ]
    if any(map(is_picture, kept)) and not sees(models):
        raise CannotSee
    return kept


def keep(user: User, sent: Sequence["UploadedFile[Any]"]) -> list[str]:
    """Store what came in a form along with a question; returns the paths. All of them or none: raises TooManyAttached,
    FileRefused, StoreDown."""
    if len(sent) > MOST:
        raise TooManyAttached
    paths = list[str]()
    try:
        for each in sent:
            paths.append(files.store_file(user, each.name or "", each).key)
    except BaseException:
        forget(user, paths)
        raise
    return paths


def is_picture(attachment: dict[str, Any]) -> bool:
    return attachment["contentType"] in PICTURES


def said(user: User, message: ChatMessage, *, seen: bool = True) -> str | list[dict[str, Any]]:
    """A message's content in OpenAI's shape. `seen`: its pictures go along. One that is gone is named. Raises
    StoreDown."""
    texts, pictures = [message.content], list[dict[str, Any]]()
    for each in message.attachments:
        content = _content(user, each, seen=seen)
        if content is None:
            texts.append(f"[{each['name']}]")
        elif is_picture(each):
            url = f"data:{each['contentType']};base64,{base64.b64encode(content).decode()}"
            pictures.append({"type": "image_url", "image_url": {"url": url}})
        else:
            texts.append(f"{each['name']}:\n```\n{content.decode(errors='replace')}\n```")
    text = "\n\n".join(texts)
    return [{"type": "text", "text": text}, *pictures] if pictures else text


def _content(user: User, attachment: dict[str, Any], *, seen: bool) -> bytes | None:
    if is_picture(attachment) and not seen:
        return None
    try:
        return files.read_file(user, attachment["path"], MOST_PICTURE_BYTES)[1]
    except files.FileNotFound:
        return None


def sees(models: Sequence[str]) -> bool:
    """Whether the first of these models, or any when there is no choice yet, looks at pictures."""
    seeing = {model.name for model in services.models_now("multimodal")}
    return models[0] in seeing if models else bool(seeing)


def forget(user: User, paths: Sequence[str]) -> None:
    """Delete the files of messages that are gone, but for those that another message has as well."""
    for path in dict.fromkeys(paths):
        others = ChatMessage.objects.filter(session__user=user, attachments__contains=[{"path": path}])
        if not others.exists():
            try:
                files.delete_file(user, path)
            except files.FileNotFound:
                continue
