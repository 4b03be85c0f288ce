"""What rows keep in English is said in the reader’s language: each sentence of a gateway or a service has a pattern."""

import ast
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.utils import translation

from topup.stored_texts import in_words, patterns

# What raises or keeps a sentence.
SAYS = {
    "Malformed", "Implausible", "BadSignature", "SignatureTried", "WrongRecipient", "Unknown", "Retryable", "Unsigned",
    "WronglySigned", "NotConfigured", "NotSupported", "Unreadable", "SettledOrder", "_finish", "_reject", "_flag",
}  # fmt: skip


def sentence(node: ast.expr) -> str:
    """What it says, with {} for what it names; empty where it is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(sentence(part) or "{}" for part in node.values)
    return ""


def sentences() -> Iterator[str]:
    for room in ("gateways", "services"):
        for path in (settings.BASE_DIR / "topup" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in SAYS:
                    yield from (sentence(argument) for argument in node.args)


def test_every_sentence_that_may_be_kept_has_a_pattern() -> None:
    # Texts of others, with nothing of ours around them, are kept as they are.
    said = {each for each in sentences() if " " in each and each.replace("{}", "").strip(" :")}
    assert len(said) > 80
    assert sorted(said - set(patterns())) == []


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("The notice is for wx1 / 1900000109.", "通知属于 wx1 / 1900000109。"),
        ("The notice is not signed by WeChat Pay. Something new.", "通知没有微信支付的签名。Something new."),
        (
            "app id is a, agreed was b; amount in fen is 1, agreed was 7300",
            "AppID为 a，约定为 b；金额（分）为 1，约定为 7300",
        ),
        ("Nobody knows this one.", "Nobody knows this one."),
    ],
)
def test_a_sentence_is_said_in_chinese_with_what_it_names(text: str, chinese: str) -> None:
    with translation.override("zh-hans"):
        assert in_words(text) == chinese
    with translation.override("en"):
        assert in_words(text) == text
