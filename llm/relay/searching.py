"""Whether a request lets its provider search the web, which is billed by the search; wherever that is said."""

from collections.abc import Mapping
from typing import Any

_SEARCHES_BY_KIND = (
    "web_search", "x_search", "live_search", "google_search", "browser_search", "openrouter:web_search",
)  # fmt: skip
# Google's tools have no type.
_SEARCHES_BY_NAME = ("google_search", "googleSearch", "google_search_retrieval", "googleSearchRetrieval")
# Fields that switch it on: Qwen's, Hunyuan's.
_SWITCHES = ("enable_search", "enable_enhancement", "force_search_enhancement")


def searches(body: Mapping[str, Any]) -> bool:
    """Whether the provider may search the web for this request, which it bills by the search."""
    return searching_field(body) is not None or any(is_search(tool) for tool in _tools(body))


def searching_field(body: Mapping[str, Any]) -> str | None:
    """The field that asks for searches of the web: OpenAI's, Qwen's, Hunyuan's, Baidu's, xAI's, OpenRouter's, Cohere's;
    also where a client has sent as a field what its library would have unpacked."""
    if body.get("web_search_options") is not None:
        return "web_search_options"
    if switch := next((name for name in _SWITCHES if body.get(name)), None):
        return switch
    live, baidus, more = body.get("search_parameters"), body.get("web_search"), body.get("extra_body")
    if live and not (type(live) is dict and live.get("mode") == "off"):
        return "search_parameters"
    if baidus and not (type(baidus) is dict and baidus.get("enable") is False):
        return "web_search"
    for name, marks in (("plugins", ("web",)), ("connectors", ("web-search",))):
        if any(each.get("id") in marks for each in blocks(body.get(name))):
            return name
    return "extra_body" if type(more) is dict and searches(more) else None


def is_search(tool: Mapping[str, Any]) -> bool:
    """Whatever they are called: OpenAI's and Anthropic's, xAI's, Google's, Moonshot's, Groq's."""
    kind, function = tool.get("type"), tool.get("function")
    if type(kind) is str and kind.startswith(_SEARCHES_BY_KIND):
        return True
    if kind is None:
        return any(name in tool for name in _SEARCHES_BY_NAME)
    return kind == "builtin_function" and type(function) is dict and function.get("name") == "$web_search"


def search_is_optional(body: Mapping[str, Any]) -> bool:
    """Whether a request of Responses can do without: Codex sends the tool with every one, beside its own."""
    own = any(tool.get("type") in ("function", "custom", "namespace") for tool in _tools(body))
    return own and body.get("tool_choice") in (None, "auto", "none")


def _tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of a request, and those that stand among the items of a response."""
    told = [tool for item in said_in(body) if "tools" in item for tool in blocks(item["tools"])]
    return [*blocks(body.get("tools")), *told]


def said_in(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a chat, or the items of a response."""
    return blocks(body.get("messages") if "messages" in body else body.get("input"))


def blocks(content: Any) -> list[Mapping[str, Any]]:
    return [part for part in content if type(part) is dict] if type(content) is list else []
