"""OpenAI's Responses: what must be known of a request, and answers of providers that do not speak them.

Source: OpenAI's API reference, and what Codex, openai-python, the AI SDK and others send and read.
"""

from voicehelper.api.errors import ErrorAnswer

from ...providers.base import RESPONSES
from ..base import Dialect, header_names
from .checks import check
from .passing import ResponsesFollower
from .request import needs, to_chat, upward, weigh_request
from .stream import ResponsesTranslator


def broken(answer: ErrorAnswer, request_id: str) -> bytes:
    """The last events of a stream that broke off before anything of the answer was told."""
    return ResponsesTranslator({}, request_id).fail(answer, None)


DIALECT = Dialect(
    name=RESPONSES,
    check=check,
    weigh=weigh_request,
    needs=needs,
    headers=header_names("openai-"),
    broken=broken,
    to_chat=to_chat,
    translator=ResponsesTranslator,
    upward=upward,
    follower=ResponsesFollower,
)
