"""What the stand-in has to say: Markdown, in the language of the question, about what was asked.

It understands nothing. It looks for words in the question and picks what is fun to watch: code, a table, a list, a sum.
The texts are in `answers/`.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

_HAN = re.compile(r"[㐀-䶿一-鿿]")
# A minus and a slash stand in dates and numbers too: they need spaces, or the whole question to themselves.
_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)"
_SUM = re.compile(rf"{_NUMBER}(\s*[+*×÷]\s*|\s+[-/]\s+){_NUMBER}")
_NOTHING_BUT_A_SUM = re.compile(rf"{_NUMBER}\s*([-+*/×÷])\s*{_NUMBER}\s*[=＝]?\s*[?？]?")
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("before", ("刚才", "之前", "上一个", "上面", "earlier", "before", "just asked", "previous")),
    ("code", ("代码", "程序", "函数", "编程", "python", "javascript", "sql", "code", "function", "script")),
    ("table", ("表格", "对比", "比较", "区别", "table", "compare", "difference", " vs ")),
    ("steps", ("步骤", "计划", "怎么", "如何", "列出", "建议", "how ", "steps", "plan", "list", "tips")),
    ("who", ("你是谁", "你叫什么", "who are you", "what are you", "your name")),
    ("hello", ("你好", "您好", "早上好", "hello", "hi ", "hey", "good morning")),
)
_TWO_THINGS = (
    re.compile(r"(?:比较|对比)(?:一下)?\s*(.+?)\s*(?:和|与|跟)\s*(.+?)(?:的|[，。？?！!]|$)"),
    re.compile(r"(.+?)\s*(?:和|与|跟)\s*(.+?)(?:的|有什么)*(?:区别|对比|比较)"),
    re.compile(r"(?:compare|between)\s+(.+?)\s+(?:and|with|to|vs)\s+(.+?)(?:[,.?!]|$| in | as )", re.IGNORECASE),
)
_LONGEST_QUOTE = 60


def is_chinese(text: str) -> bool:
    return bool(_HAN.search(text))


def answer(questions: Sequence[str], pictures: int = 0) -> str:
    """The answer to the last of the questions."""
    question = " ".join(questions[-1].split()) if questions else ""
    chinese = is_chinese(question)
    seen = _pictures(pictures, chinese=chinese) if pictures else ""
    if sum_ := _sum(question, chinese=chinese):
        return seen + sum_
    lowered = f" {question.lower()} "
    kind = next((kind for kind, words in _KINDS if any(word in lowered for word in words)), "other")
    if kind == "before":
        return seen + _before(questions, chinese=chinese)
    text = _text(kind, "zh" if chinese else "en").replace("{question}", quoted(question))
    if kind == "table":
        one, two = _two_things(question, chinese=chinese)
        text = text.replace("{one}", one).replace("{two}", two)
    return seen + text


@cache
def _text(kind: str, language: str) -> str:
    return Path(__file__).with_name("answers").joinpath(f"{kind}.{language}.md").read_text(encoding="utf-8").strip()


def about_results(results: Sequence[str], question: str) -> str:
    """The answer after tools have been called."""
    chinese = is_chinese(question)
    lines = "\n".join(f"- `{quoted(result, 300)}`" for result in results)
    if chinese:
        return f"工具返回了下面的结果：\n\n{lines}\n\n所以，关于“{quoted(question)}”，**答案就在上面**。"
    return f"The tools came back with this:\n\n{lines}\n\nSo for “{quoted(question)}”, **there is your answer**."


def thought(question: str) -> str:
    """What a model thinks before it answers."""
    if is_chinese(question):
        return f"用户问的是“{quoted(question)}”。先弄清问题，再组织答案。"
    return f"The question is “{quoted(question)}”. First what is meant, then how to put it."


def _two_things(question: str, *, chinese: bool) -> tuple[str, str]:
    """What is to be compared."""
    found = next((match for pattern in _TWO_THINGS if (match := pattern.search(question))), None)
    if found:
        return quoted(found[1], 20), quoted(found[2], 20)
    return ("前者", "后者") if chinese else ("the first", "the second")


def quoted(text: str, longest: int = _LONGEST_QUOTE) -> str:
    """A text on one line, cut, and without what would end a quotation in Markdown."""
    text = " ".join(text.replace("`", "'").replace("|", "/").split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _sum(question: str, *, chinese: bool) -> str:
    found = _NOTHING_BUT_A_SUM.fullmatch(question) or _SUM.search(question)
    if not found:
        return ""
    left, sign, right = Fraction(found[1]), found[2].strip(), Fraction(found[3])
    if sign in "/÷" and not right:
        return "除数不能是零。" if chinese else "Nothing can be divided by zero."
    signs = {"+": left + right, "-": left - right, "*": left * right, "×": left * right}
    value = signs[sign] if sign in signs else left / right
    shown = str(value) if value.denominator == 1 else f"{float(value):.6g}"
    return f"{found[1]} {sign} {found[3]} = **{shown}**" + ("。" if chinese else ".")


def _pictures(number: int, *, chinese: bool) -> str:
    return f"我看到了 {number} 张图片。\n\n" if chinese else f"I can see {number} picture(s).\n\n"


def _before(questions: Sequence[str], *, chinese: bool) -> str:
    if len(questions) < 2:
        return "这是你的第一个问题。" if chinese else "This is your first question."
    earlier = "\n".join(f"{number}. {quoted(text)}" for number, text in enumerate(questions[:-1], 1))
    return (
        f"在这次对话里，你先后问过：\n\n{earlier}" if chinese else f"In this conversation you have asked:\n\n{earlier}"
    )
