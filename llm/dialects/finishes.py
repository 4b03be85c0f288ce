"""Why an answer ends, in OpenAI's words, whatever its provider calls it."""

from collections.abc import Mapping
from typing import Any

# Mistral's, Gemini's, Cohere's and Zhipu's words, in small letters. What is not here is passed on, or is the end.
_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("max_tokens", "model_length", "max_output_tokens", "max_length", "token_limit"), "length"),
    **dict.fromkeys(("sensitive", "safety", "prohibited_content", "blocklist", "spii", "recitation", "content_filtered",
                     "error_toxic"), "content_filter"),
    **dict.fromkeys(("tool_use", "tool_call", "function_call"), "tool_calls"),
}  # fmt: skip


def finish_of(choice: Mapping[str, Any]) -> str:
    """Why a choice ends; empty: it does not say."""
    said = choice.get("finish_reason")
    if type(said) is not str:
        return ""
    small = said.lower()
    return _MEANT.get(small, small)
