"""How an answer's Markdown becomes a page, in a real browser, under the pages' own content security policy."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.person import Person

pytestmark = pytest.mark.django_db(transaction=True)

# A place that shows `text`, whole, or written in pieces of seven characters.
SHOW = """
const [text, pieces, done] = arguments;
import("/static/js/markdown.js").then(({ Prose }) => {
  document.querySelector("#prose")?.remove();
  const place = document.body.appendChild(document.createElement("div"));
  place.id = "prose";
  const prose = new Prose(place, { copy: "Copy", copied: "Copied", picture: "Picture: {name}", task: "Task" });
  for (let to = 7; pieces && to < text.length; to += 7) prose.grow(text.slice(0, to));
  prose.show(text);
  done(place.innerHTML);
});
"""
# Milliseconds of a frame, drawing and layout, in the middle of a thirty lines' window around two places of a text.
FRAMES = """
const [block, done] = arguments;
import("/static/js/markdown.js").then(({ Prose }) => {
  const place = document.body.appendChild(document.createElement("div"));
  const prose = new Prose(place, { copy: "Copy", copied: "Copied", picture: "Picture: {name}", task: "Task" });
  const times = { early: [], late: [] };
  let text = "";
  for (let lines = 0; lines < 1100; lines += block.split("\\n").length) {
    for (const piece of block.match(/[^]{1,9}/g)) {
      text += piece;
      const begun = performance.now();
      prose.grow(text);
      place.getBoundingClientRect();
      const spent = performance.now() - begun;
      if (lines >= 60 && lines < 140) times.early.push(spent);
      if (lines >= 960 && lines < 1040) times.late.push(spent);
    }
    text += "\\n";
  }
  place.remove();
  // Without the fifth that something else got in the way of.
  const usual = (all) => all.sort((a, b) => a - b).slice(0, all.length * 0.8);
  const mean = (all) => usual(all).reduce((sum, each) => sum + each, 0) / usual(all).length;
  done([mean(times.early), mean(times.late)]);
});
"""
BLOCK = """## A heading

Some text with **bold**, `code`, a [link](https://example.com/) and $a^2 + b^2$ that goes on for a while.

- one item
- another item
  - below it

| name | value |
|------|------:|
| one  | 1     |

```python
def answer():
    return 42
```
"""
# What an answer might try, and what must not become of it.
HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<iframe srcdoc='<script>parent.hit = 1</script>'></iframe>",
    "[click](javascript:window.hit=1)",
    "[click](JaVaScRiPt:window.hit=1)",
    "[click](data:text/html,<script>window.hit=1</script>)",
    "<javascript:window.hit=1>",
    "[x]: javascript:window.hit=1\n\n[x]",
    "![x](javascript:window.hit=1)",
    "![x](https://tracker.example/pixel.png)",
    "![x](//tracker.example/pixel.png)",
    "![x](/accounts/sign-out)",
    "![x](/files/../accounts/sign-out?signature=1)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
    '![" onerror="window.hit=1](data:image/png;base64,AAAA)',
    r"$\href{javascript:window.hit=1}{x}$",
    r"$\url{javascript:window.hit=1}$",
    r"$\includegraphics{https://tracker.example/pixel.png}$",
    r"$\htmlStyle{position:fixed;inset:0}{x}$",
    r"$\htmlId{announce}{x}$",
    r"$\htmlData{copy=x}{x}$",
    r"$\rule{9999em}{9999em}$",
    r"$\def\a{\a\a}\a$",
    "$<img src=x onerror=window.hit=1>$",
    "```html\n<script>window.hit = 1</script>\n```",
    '```"><script>window.hit=1</script>\nx\n```',
    "```js\nconst x = `<img src=x onerror=window.hit=1>`;\n```",
    "| <script>window.hit=1</script> |\n|---|\n| <b onclick=window.hit=1>x</b> |",
    "- [x] <svg onload=window.hit=1>",
    "# <style>body{display:none}</style>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;",
    "<a href='https://example.com' onclick='window.hit=1'>x</a>",
]
STRANGE = """
const place = document.querySelector("#prose");
const strange = [];
for (const each of place.querySelectorAll("*")) {
  if (/^(script|iframe|style|object|embed|form|base|meta|link)$/.test(each.localName)) strange.push(each.localName);
  for (const { name, value } of each.attributes) {
    if (/^on/.test(name) || name === "srcdoc") strange.push(`${name}=${value}`);
    if (/href$/.test(name) && !/^(https?:|mailto:)/.test(value)) strange.push(`${name}=${value}`);
    if (name === "src" && !value.startsWith("data:image/png")) strange.push(`${name}=${value}`);
  }
  if (each.id || getComputedStyle(each).position === "fixed") strange.push(each.outerHTML);
}
return [strange, window.hit ?? null, place.scrollHeight];
"""


@pytest.fixture
def reader(open_browser: Callable[..., Person]) -> Person:
    """Somebody on a page of ours."""
    somebody = open_browser()
    somebody.visit("/accounts/sign-in")
    somebody.loaded()
    return somebody


def show(person: Person, text: str, *, pieces: bool = False) -> str:
    shown: Any = person.driver.execute_async_script(SHOW, text, pieces)  # type: ignore[no-untyped-call]
    return str(shown)


def count(person: Person, selector: str) -> int:
    return len(person.driver.find_elements("css selector", f"#prose {selector}"))


def test_formulas_code_tasks_tables_and_pictures_are_drawn(reader: Person) -> None:
    show(reader, "It costs $5 or $6, not `$x$`.")
    assert not reader.script(
        "return performance.getEntriesByType('resource').some(({ name }) => /katex|highlight/.test(name))"
    )
    show(reader, "Euler: $e^{i\\pi} + 1 = 0$ and \\(a\\) of $5 and $6, `$x$`\n\n$$\n\\frac{1}{2}\n$$\n\n\\[ x \\]")
    reader.until(lambda: count(reader, ".katex") == 4, "the formulas stay source")
    assert count(reader, "div.math.display .katex-display") == 2
    assert "of $5 and $6, $x$" in reader.text("#prose p")
    assert reader.script("return getComputedStyle(document.querySelector('#prose .katex')).fontFamily").startswith(
        "KaTeX"
    )
    show(reader, "US$5–US$10, $HOME/$PATH and $ 4 $\n\n\\$3$ and \\\\$oops{$")
    assert count(reader, ".katex") == 0
    assert reader.text("#prose").split("\n") == ["US$5–US$10, $HOME/$PATH and $ 4 $", "$3$ and \\$oops{$"]
    show(reader, "```python\ndef f():\n    return 'x'  # said\n```\n\n```nonsense\nplain\n```")
    reader.until(lambda: count(reader, ".hl-keyword") == 2, "code has no colours")
    assert reader.text("#prose pre") == "def f():\n    return 'x'  # said"
    assert count(reader, "[data-copy]") == 2
    show(reader, "**一句话：**先用前者，再用**“后者”**吧。他说**（真的）**没有；2 * 3 * 4，a**b **c")
    assert [each.text for each in reader.driver.find_elements("css selector", "#prose strong")] == [
        "一句话：",
        "“后者”",
        "（真的）",
    ]
    show(reader, "- [ ] buy\n- [x] sell\n- [y] hold\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert [count(reader, "input:disabled"), count(reader, "input:checked"), count(reader, ".frame table")] == [2, 1, 1]
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    show(reader, f"![A dot]({dot}) ![Far](https://example.com/x.png)")
    assert count(reader, "img[alt='A dot']") == 1
    assert reader.text("#prose a") == "Picture: Far"
    assert reader.complaints() == []


GROWING = (
    BLOCK * 3,
    "[a][b]\n\n- x\n\n  y\n- z\n\n1. q\n\n> w\n> v\n\n[b]: https://example.com/\n",
    "a\n-\n\n| x |\n|--|\n| $y$ |\nfoo\n#\n#bar\r\n\r\nx\n\n$$\n1\n\n2\n$$\n",
)


def test_a_text_that_was_written_in_pieces_looks_as_if_it_came_at_once(reader: Person) -> None:
    # Once for what is loaded when it first occurs.
    show(reader, BLOCK)
    reader.until(lambda: count(reader, ".katex") and count(reader, ".hl-keyword"), "nothing was loaded")
    html = "return document.querySelector('#prose').innerHTML"
    for text in GROWING:
        coloured = "```python" in text
        show(reader, text)
        reader.until(lambda wanted=coloured: not wanted or count(reader, ".hl-keyword"), "no colours")
        whole = reader.script(html)
        show(reader, text, pieces=True)
        reader.until(lambda wanted=whole: reader.script(html) == wanted, f"it differs: {text!r}")


def test_nothing_an_answer_writes_runs_or_calls_home(reader: Person) -> None:
    show(reader, "$x$\n\n```js\n1\n```")
    reader.until(lambda: count(reader, ".katex") and count(reader, ".hl-number"), "nothing was loaded")
    for text in HOSTILE:
        show(reader, f"Before\n\n{text}\n\nAfter")
        strange, hit, height = reader.script(STRANGE)
        assert (strange, hit) == ([], None), text
        assert height < 3000, text
    assert reader.complaints() == []


@pytest.mark.rare
def test_a_frame_takes_as_long_at_the_thousandth_line_as_at_the_hundredth(reader: Person) -> None:
    show(reader, BLOCK)
    reader.until(lambda: count(reader, ".katex") and count(reader, ".hl-keyword"), "nothing was loaded")
    early, late = min(
        (reader.driver.execute_async_script(FRAMES, BLOCK) for _ in range(3)),  # type: ignore[no-untyped-call]
        key=lambda times: times[1] / times[0],
    )
    assert late <= 1.5 * early, f"{early:.2f} ms, then {late:.2f} ms"
