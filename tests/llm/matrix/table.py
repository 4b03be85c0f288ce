"""What goes where between the dialects, as one table: the test plays it cell by cell, and docs/dialects.md is written
from it (`python -m tests.llm.matrix.table > docs/dialects.md`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .chat import Chat
from .messages import Messages
from .neutral import SCHEMA, Ask, Call, Result, Said, Shape, Turn, Used
from .responses import Responses

DIALECTS: Mapping[str, Shape] = {shape.name: shape for shape in (Chat(), Messages(), Responses())}
# In front of us and behind us the same shapes; who asks in its own upstream's gets everything as it is.
UPSTREAMS: Mapping[str, Shape] = {
    "OpenAI": DIALECTS["chat"], "Responses": DIALECTS["responses"], "Claude": DIALECTS["messages"],
}  # fmt: skip
PAIRS = [(dialect, upstream) for dialect in DIALECTS for upstream in UPSTREAMS]


# Stands for what only we can read.
SEALED = "sealed"


def as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Passed:
    """Body and answer go through byte for byte, but for the model's name."""


@dataclass(frozen=True)
class Translated:
    """Into what, in words; and, where the other side has less room, what arrives of a request (`up`) and of an answer
    (`down`)."""

    note: str
    up: Callable[[Ask], Ask] = as_it_is
    down: Callable[[Said], Said] = as_it_is


@dataclass(frozen=True)
class Refused:
    """A 400 that names it (and, where the dialect has codes, has it for its code, unless it has one of its own): free,
    never sent."""

    named: str
    code: str = ""


Cell = Passed | Translated | Refused


@dataclass(frozen=True)
class Row:
    """One feature. `words` are the dialects that have words for it; `more` changes the request of one whose words are
    its own. `error` says that the upstream fails, before its answer or in the middle of a stream."""

    name: str
    ask: Ask = field(default_factory=lambda: Ask((Turn("user", "Hi"),)))
    said: Said = field(default_factory=lambda: Said("Hello there"))
    cells: Mapping[tuple[str, str], Cell] = field(default_factory=dict)
    words: tuple[str, ...] = ("chat", "messages", "responses")
    more: Mapping[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)
    error: str = ""

    def cell(self, dialect: str, upstream: str) -> Cell | None:
        """None: this cannot be said in that dialect."""
        if dialect not in self.words or (self.more and dialect not in self.more):
            return None
        native = DIALECTS[dialect] is UPSTREAMS[upstream]
        return self.cells.get((dialect, upstream)) or (Passed() if native else None)


def _with(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.update(fields)


def _part(part: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["messages"][-1].update(content=[part])


# --- Where the other side has less room ------------------------------------------------------------------------------
def _one_instruction(ask: Ask) -> Ask:
    system = [ask.system, *(turn.text for turn in ask.turns if turn.role == "system")]
    return replace(ask, system="\n\n".join(system), turns=tuple(t for t in ask.turns if t.role != "system"))


def _words_of_results(ask: Ask) -> Ask:
    """A tool's message has room for words only."""
    turns = []
    for turn in ask.turns:
        results = tuple(replace(each, picture="") for each in turn.results)
        results = tuple(
            replace(each, text=f"Error: {each.text}", failed=False) if each.failed else each for each in results
        )
        pictures = tuple(each.picture for each in turn.results if each.picture)
        turns.append(replace(turn, results=results, pictures=(*pictures, *turn.pictures)))
    return replace(ask, turns=tuple(turns))


def _unsigned(ask: Ask) -> Ask:
    return replace(ask, turns=tuple(replace(turn, signature="") for turn in ask.turns))


def _thoughtless(ask: Ask) -> Ask:
    return replace(ask, turns=tuple(replace(turn, thought="", signature="") for turn in ask.turns))


def _without_signature(said: Said) -> Said:
    return replace(said, signature="")


def _sealed(said: Said) -> Said:
    """What must be handed back is sealed: nobody else can read it, and it goes to nobody else."""
    return replace(said, signature=SEALED)


def _refused_in_words(said: Said) -> Said:
    return replace(said, text=said.refusal, refusal="")


# --- The table -------------------------------------------------------------------------------------------------------
_PNG, _PHOTO = "data:image/png;base64,iVBORw0KGgo=", "https://example.com/a.png"
_FIRST, _SECOND = Call("call_1", "weather", {"city": "Xi'an"}), Call("call_2", "time", {"city": "Paris"})
_TOOLS = ("weather", "time")
_CHAT_CLAUDE, _MESSAGES_OPENAI = ("chat", "Claude"), ("messages", "OpenAI")
_CHAT_RESPONSES, _MESSAGES_RESPONSES = ("chat", "Responses"), ("messages", "Responses")
_RESPONSES_OPENAI, _RESPONSES_CLAUDE = ("responses", "OpenAI"), ("responses", "Claude")
_RESPONSES_RESPONSES = ("responses", "Responses")

ROWS = [
    Row(
        "text",
        Ask(
            (Turn("user", "Hi"), Turn("assistant", "Hello"), Turn("system", "Be kind."), Turn("user", "Again")),
            system="Be brief.",
            user="u7",
        ),
        Said("Hello there", used=Used(30, 8, 4, 20, 0)),
        {
            _CHAT_RESPONSES: Translated("system messages are developer items where they stand"),
            _MESSAGES_RESPONSES: Translated("`system` is a developer item; the rest as to OpenAI"),
            _RESPONSES_OPENAI: Translated("`instructions` are the first system message, developer items are others"),
            _RESPONSES_CLAUDE: Translated("instructions and developer items are the one `system`", up=_one_instruction),
            _CHAT_CLAUDE: Translated(
                "system and developer messages, wherever they stand, become the one `system`; `user` (or "
                "`safety_identifier`) becomes `metadata.user_id`",
                up=_one_instruction,
            ),
            _MESSAGES_OPENAI: Translated(
                "`system` is the first message, a system turn stays where it is; `metadata.user_id` becomes `user`"
            ),
        },
    ),
    Row(
        "tools",
        Ask(
            (
                Turn("user", "Weather?"),
                Turn("assistant", "Let me see", calls=(_FIRST,)),
                Turn("user", results=(Result("call_1", "sunny", _PNG),)),
            ),
            tools=_TOOLS,
            choice="weather",
        ),
        Said("Once more", calls=(_FIRST,), stop="calls"),
        {
            _CHAT_RESPONSES: Translated("tools are flat and not strict unless they say so; results may hold pictures"),
            _MESSAGES_RESPONSES: Translated("as to OpenAI", up=_words_of_results),
            _RESPONSES_OPENAI: Translated("pictures in outputs follow as the user's", up=_words_of_results),
            _RESPONSES_CLAUDE: Translated("calls and outputs are blocks, by `call_id`"),
            _CHAT_CLAUDE: Translated(
                "`tools`, `tool_choice` (`required` is `any`), calls and results, with `strict` and pictures in results"
            ),
            _MESSAGES_OPENAI: Translated(
                "the same back; pictures in results follow as the user's, a failed result begins with `Error:`; an "
                "answer with calls stops for `tool_use` whatever its finish reason",
                up=_words_of_results,
            ),
        },
    ),
    Row(
        "a result that failed",
        Ask(
            (
                Turn("user", "Weather?"),
                Turn("assistant", calls=(_FIRST,)),
                Turn("user", results=(Result("call_1", "no such city", failed=True),)),
            ),
            tools=_TOOLS,
        ),
        cells={
            _MESSAGES_RESPONSES: Translated("as to OpenAI", up=_words_of_results),
            _MESSAGES_OPENAI: Translated("`is_error` becomes words: `Error: …`", up=_words_of_results),
        },
        more={"messages": lambda body: None},
    ),
    Row(
        "parallel tools",
        Ask(
            (
                Turn("user", "Weather and time?"),
                Turn("assistant", calls=(_FIRST, _SECOND)),
                Turn("user", results=(Result("call_1", "sunny"), Result("call_2", "noon"))),
            ),
            tools=_TOOLS,
            choice="auto",
        ),
        Said(calls=(_FIRST, _SECOND), stop="calls"),
        {
            _CHAT_RESPONSES: Translated("calls are numbered in the order of their items"),
            _MESSAGES_RESPONSES: Translated("calls that come interleaved are written one block after another"),
            _RESPONSES_OPENAI: Translated("calls are items that stay open side by side"),
            _RESPONSES_CLAUDE: Translated("calls are items"),
            _CHAT_CLAUDE: Translated("results of neighbouring messages are one turn; calls are numbered as they begin"),
            _MESSAGES_OPENAI: Translated(
                "each result is a message; calls that come interleaved are written one block after another"
            ),
        },
    ),
    Row(
        "one tool at a time",
        Ask((Turn("user", "Weather?"),), tools=_TOOLS, choice="required", one_at_a_time=True),
        Said(calls=(_SECOND,), stop="calls"),
        {
            _CHAT_RESPONSES: Translated("the same"),
            _MESSAGES_RESPONSES: Translated("`disable_parallel_tool_use` is `parallel_tool_calls: false`"),
            _RESPONSES_OPENAI: Translated("the same"),
            _RESPONSES_CLAUDE: Translated("`parallel_tool_calls: false` is `disable_parallel_tool_use`"),
            _CHAT_CLAUDE: Translated("`parallel_tool_calls: false` is `disable_parallel_tool_use`"),
            _MESSAGES_OPENAI: Translated("the same back"),
        },
    ),
    Row(
        "pictures",
        Ask((Turn("user", "What is this?", (_PNG, _PHOTO)),)),
        cells={
            _CHAT_RESPONSES: Translated("`input_image`"),
            _MESSAGES_RESPONSES: Translated("`input_image`"),
            _RESPONSES_OPENAI: Translated("`input_image` as in a chat"),
            _RESPONSES_CLAUDE: Translated("`input_image` as a block"),
            _CHAT_CLAUDE: Translated("`image_url` is an image from `base64` or `url`; `detail` stays behind"),
            _MESSAGES_OPENAI: Translated("the same back"),
        },
    ),
    Row(
        "documents",
        Ask((Turn("user", "What is this?", file=("a.pdf", "JVBERi0=")),)),
        cells={
            _CHAT_RESPONSES: Translated("`input_file`"),
            _MESSAGES_RESPONSES: Translated("`input_file`"),
            _RESPONSES_OPENAI: Translated("`input_file` as in a chat"),
            _RESPONSES_CLAUDE: Translated("`input_file` as a block"),
            _CHAT_CLAUDE: Translated("a `file` with PDF data is a document under its name"),
            _MESSAGES_OPENAI: Translated("a PDF is a `file`, text is words under its title"),
        },
    ),
    Row(
        "thinking",
        Ask(
            (
                Turn("user", "Weather?"),
                Turn("assistant", thought="Hm", signature="c2ln", calls=(_FIRST,)),
                Turn("user", results=(Result("call_1", "sunny"),)),
            ),
            tools=_TOOLS,
            effort="high",
        ),
        Said("Sunny", thought="Let me see", signature="c2lnbmVk", used=Used(wrote=20, thought=5)),
        {
            _CHAT_RESPONSES: Translated(
                "`reasoning_effort` is `reasoning.effort`; summaries come as `reasoning_content`; earlier thoughts "
                "stay behind, as nothing of theirs is signed",
                up=_thoughtless,
                down=_without_signature,
            ),
            _MESSAGES_RESPONSES: Translated("as a chat", up=_thoughtless, down=_without_signature),
            _RESPONSES_OPENAI: Translated(
                "`reasoning.effort` is `reasoning_effort`; thoughts are `reasoning_content` both ways, carried by "
                "`encrypted_content`",
                up=_unsigned,
                down=_sealed,
            ),
            _RESPONSES_CLAUDE: Translated(
                "signed blocks travel in `encrypted_content`, bound to the account that signed them", down=_sealed
            ),
            _RESPONSES_RESPONSES: Translated(
                "as it is, but `encrypted_content` is bound to the account that gave it", down=_sealed
            ),
            _CHAT_CLAUDE: Translated(
                "`reasoning_effort` is `output_config.effort` with adaptive `thinking` (`none`: disabled; a budget for "
                "older models); thoughts come as `reasoning_content`, and signed as `thinking_blocks`, which a client "
                "hands back"
            ),
            _MESSAGES_OPENAI: Translated(
                "`output_config.effort` or `thinking` is `reasoning_effort` (disabled: `none`); thoughts go up and "
                "come down as `reasoning_content`, without a signature",
                up=_unsigned,
                down=_without_signature,
            ),
        },
    ),
    Row(
        "structured output",
        Ask((Turn("user", "Which city?"),), schema=SCHEMA),
        Said('{"city": "Paris"}'),
        {
            _CHAT_RESPONSES: Translated("`response_format` is `text.format`, flat"),
            _MESSAGES_RESPONSES: Translated("`output_config.format` is `text.format`"),
            _RESPONSES_OPENAI: Translated("`text.format` is `response_format`"),
            _RESPONSES_CLAUDE: Translated("`text.format` is `output_config.format`"),
            _CHAT_CLAUDE: Translated("`response_format` with a schema is `output_config.format`"),
            _MESSAGES_OPENAI: Translated("the same back, strict"),
        },
    ),
    Row(
        "stop sequences",
        Ask((Turn("user", "Count"),), stop=("END", "STOP")),
        Said("one two", stop="sequence", sequence="END"),
        words=("chat", "messages"),
        cells={
            _CHAT_RESPONSES: Refused("stop"),
            _MESSAGES_RESPONSES: Refused("stop"),
            _CHAT_CLAUDE: Translated("`stop` is `stop_sequences`; which one it was is the choice's `stop_reason`"),
            _MESSAGES_OPENAI: Translated("the same back, where the provider tells (vLLM, SGLang); OpenAI does not"),
        },
    ),
    Row(
        "the limit is reached",
        said=Said("Hello", stop="length"),
        cells={
            _CHAT_RESPONSES: Translated("`incomplete` is `length`"),
            _MESSAGES_RESPONSES: Translated("`incomplete` is `max_tokens`"),
            _RESPONSES_OPENAI: Translated("`length` is `incomplete`"),
            _RESPONSES_CLAUDE: Translated("`max_tokens` is `incomplete`"),
            _CHAT_CLAUDE: Translated("`max_tokens` is `length`"),
            _MESSAGES_OPENAI: Translated("`length` is `max_tokens`"),
        },
    ),
    Row(
        "a refusal",
        said=Said(refusal="I would rather not.", stop="refused"),
        cells={
            _CHAT_RESPONSES: Translated("a refusal part is the message's `refusal`"),
            _MESSAGES_RESPONSES: Translated("a refusal part is text, and the reason to stop", down=_refused_in_words),
            _RESPONSES_OPENAI: Translated("`refusal` is a refusal part"),
            _RESPONSES_CLAUDE: Translated("the explanation is a refusal part"),
            _CHAT_CLAUDE: Translated("`refusal` is `content_filter`, its explanation the message's `refusal`"),
            _MESSAGES_OPENAI: Translated(
                "the message's `refusal` is text, and the reason to stop `refusal`",
                down=_refused_in_words,
            ),
        },
    ),
    Row(
        "an error before the answer",
        error="before",
        cells={
            _CHAT_RESPONSES: Translated("the provider's text and code"),
            _MESSAGES_RESPONSES: Translated("the provider's text"),
            _RESPONSES_OPENAI: Translated("the provider's text and code"),
            _RESPONSES_CLAUDE: Translated("the provider's text and code"),
            _CHAT_CLAUDE: Translated("the provider's text and code"),
            _MESSAGES_OPENAI: Translated("the provider's text"),
        },
    ),
    Row(
        "an error in the stream",
        error="in the stream",
        cells={
            _CHAT_RESPONSES: Translated("a chunk with `error`; what came is charged"),
            _MESSAGES_RESPONSES: Translated("an `error` event; what came is charged"),
            _RESPONSES_OPENAI: Translated("`response.failed` with what was used"),
            _RESPONSES_CLAUDE: Translated("`response.failed` with what was used"),
            _CHAT_CLAUDE: Translated("a chunk with `error`; what came is charged"),
            _MESSAGES_OPENAI: Translated("an `error` event; what came is charged"),
        },
    ),
    Row(
        "several answers", cells={_CHAT_CLAUDE: Refused("n"), _CHAT_RESPONSES: Refused("n")}, more={"chat": _with(n=2)}
    ),
    Row(
        "a seed", cells={_CHAT_CLAUDE: Refused("seed"), _CHAT_RESPONSES: Refused("seed")}, more={"chat": _with(seed=7)}
    ),
    Row(
        "log probabilities",
        cells={_CHAT_CLAUDE: Refused("logprobs"), _CHAT_RESPONSES: Refused("logprobs")},
        more={"chat": _with(logprobs=True)},
    ),
    Row(
        "JSON without a schema",
        Ask((Turn("user", "Which city?"),), schema={}),
        Said('{"city": "Paris"}'),
        {
            _CHAT_CLAUDE: Refused("response_format json_object"),
            _CHAT_RESPONSES: Translated("`response_format` is `text.format`"),
            _RESPONSES_OPENAI: Translated("`text.format` is `response_format`"),
            _RESPONSES_CLAUDE: Refused("response_format json_object"),
        },
        words=("chat", "responses"),
    ),
    Row(
        "sound",
        Ask((Turn("user", "Listen", sound="AAAA"),)),
        cells={
            _CHAT_CLAUDE: Refused("input_audio content"),
            _CHAT_RESPONSES: Refused("input_audio content"),
            _RESPONSES_OPENAI: Translated("`input_audio` as in a chat"),
            _RESPONSES_CLAUDE: Refused("input_audio content"),
        },
        words=("chat", "responses"),
    ),
    Row(
        "uploaded files",
        # They would be those of the account, which all users share.
        cells=dict.fromkeys(PAIRS, Refused("file_id", "unsupported_value")),
        more={
            "responses": lambda body: body["input"][-1].update(content=[{"type": "input_file", "file_id": "file-1"}]),
            "chat": _part({"type": "file", "file": {"file_id": "file-1"}}),
            "messages": _part({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        },
    ),
    Row(
        "documents by address",
        Ask((Turn("user", "What is this?", file=("a.pdf", "https://example.com/a.pdf")),)),
        cells={
            _MESSAGES_OPENAI: Refused("document content by url"),
            _MESSAGES_RESPONSES: Refused("document content by url"),
        },
        words=("messages",),
    ),
    Row(
        "top_k",
        cells={_MESSAGES_OPENAI: Refused("top_k"), _MESSAGES_RESPONSES: Refused("top_k")},
        more={"messages": _with(top_k=5)},
    ),
    Row(
        "a provider's own tools",
        cells={
            _CHAT_CLAUDE: Refused("tools of type custom"),
            _CHAT_RESPONSES: Refused("tools of type custom"),
            _MESSAGES_OPENAI: Refused("tools of type computer_20250124"),
            _MESSAGES_RESPONSES: Refused("tools of type computer_20250124"),
        },
        more={
            "chat": _with(tools=[{"type": "custom", "custom": {"name": "patch"}}]),
            "messages": _with(tools=[{"type": "computer_20250124", "name": "computer"}]),
        },
    ),
]


# --- As a document ---------------------------------------------------------------------------------------------------
_HEAD = """# Dialects

Which request reaches which kind of upstream how. The tests play every cell of this table over HTTP, streamed and whole,
and this page is written from it (`python -m tests.llm.matrix.table > docs/dialects.md`).

- *as it is*: body and answer pass through byte for byte, but for the model's name.
- *translated*: what was asked arrives in the upstream's words, and its answer in the client's; how is said below.
- *400*: refused by that name, free, never sent, and no failure of the model.
- –: the dialect has no words for it.
"""
_TAIL = """
## Left out, because it changes no answer

- Messages to others: cache marks, `context_management`, `diagnostics`, `eager_input_streaming`, thoughts that only the
  model that had them can read.
- Chat to Claude: `prompt_cache_key` and its like, `verbosity`, the `detail` of a picture, the `name` of a user,
  thoughts without a signature, a temperature's excess over 1.
- To Claude in its own dialect: thoughts with an empty signature. They are another model's, given out here; Claude would
  refuse the conversation for them.
"""


def document() -> str:
    """docs/dialects.md."""
    names = [f"{dialect} → {upstream}" for dialect, upstream in PAIRS]
    lines = [_HEAD, f"| | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    lines += [f"| {row.name} | {' | '.join(_word(row.cell(*pair)) for pair in PAIRS)} |" for row in ROWS]
    for pair, name in zip(PAIRS, names, strict=True):
        notes = [(row.name, cell.note) for row in ROWS if isinstance(cell := row.cell(*pair), Translated)]
        if notes:
            lines += [f"\n## {name}\n", *(f"- *{feature}*: {note}." for feature, note in notes)]
    return "\n".join(lines) + "\n" + _TAIL


def _word(cell: Cell | None) -> str:
    if isinstance(cell, Refused):
        return f"400 `{cell.named}`"
    return "–" if cell is None else "as it is" if isinstance(cell, Passed) else "translated"


if __name__ == "__main__":
    print(document(), end="")
