"""What the stand-ins for model providers say; that they say it in each protocol, tests/llm/contract tries."""

import pytest

from sandbox.upstream import tokens, words


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("写一段 Python 代码", "```python"),
        ("Write some code", "```python"),
        ("比较苹果和梨", "| | 苹果 | 梨 |"),
        ("Compare tea with coffee", "| | tea | coffee |"),
        ("怎么学英语", "1. **"),
        ("How do I learn Go?", "1. **"),
        ("12 * 34", "**408**"),
        ("1/0", "zero"),
        ("What is 7 - 9?", "**-2**"),
        ("What happened on 2026-11-22?", "2026-11-22"),
        ("你是谁", "演示模型"),
        ("天空是蓝色的", "天空是蓝色的"),
        ("The sky is blue | `x`", "The sky is blue / 'x'"),
    ],
)
def test_it_answers_in_the_language_of_the_question_about_what_was_asked(question: str, expected: str) -> None:
    assert expected in words.answer([question])


def test_it_remembers_the_conversation() -> None:
    assert "我喜欢茶" in words.answer(["我喜欢茶", "我刚才说了什么？"])


def test_tokens_put_together_are_the_text() -> None:
    text = "Hello wonderful 世界!\n\n  12345 x²\0\ud83d"
    assert "".join(tokens.split(text)) == text
    assert tokens.count("你好") == 2
