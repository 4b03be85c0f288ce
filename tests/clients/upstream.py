"""A provider that works with tools: Anthropic's and OpenAI's protocols over real HTTP, and what it reported as used.

It extends the scripted upstream of the other tests (tests/llm/upstream.py): every request is kept as it came.
"""

from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from tests.llm.upstream import Asked, Upstream, says, sends

from . import speak_chat, speak_messages, speak_responses
from .mind import Body, think

_SPEAKS = {
    "/messages": speak_messages,
    "/chat/completions": speak_chat,
    "/responses": speak_responses,
}


@dataclass
class Provider(Upstream):
    """`reported` is what each answer said was used, by kind (llm/kinds.py), in their order."""

    reported: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.otherwise = self._think

    async def _think(self, asked: Asked) -> web.StreamResponse:
        path = asked.path.removeprefix("/v1")
        if path == "/messages/count_tokens":
            return await says({"input_tokens": len(str(asked.body)) // 4})(asked)
        if path == "/embeddings":
            return await says(self._embedded(asked.body))(asked)
        spoken = _SPEAKS[path]
        used = self._used(asked.body)
        thought = think(spoken.turn_of(asked.body))
        if not asked.body.get("stream"):
            return await says(spoken.answer(asked.body, thought, used))(asked)
        return await sends(*spoken.events(asked.body, thought, used))(asked)

    def _embedded(self, body: Body) -> Body:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        self.reported.append({"input": 7 * len(texts)})
        rows = [{"object": "embedding", "index": at, "embedding": [0.5, -0.25, at]} for at in range(len(texts))]
        used = {"prompt_tokens": 7 * len(texts), "total_tokens": 7 * len(texts)}
        return {"object": "list", "model": body["model"], "data": rows, "usage": used}

    def _used(self, body: Body) -> Counter[str]:
        """Made-up counts, different for each call. What has cache marks is read from the cache but for its newest part,
        which is written there."""
        number = len(self.reported) + 1
        used = Counter({"input": 100 + number, "output": 20 + number})
        if marks := str(body).count("'cache_control'"):
            used["cache_read"], used["cache_write"] = 1000 * number, 300 + number
            used["cache_write_long"] = 10 * marks if "'1h'" in str(body) else 0
        self.reported.append(dict(+used))
        return used
