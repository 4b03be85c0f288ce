"""What axe-core finds on the page in front of a person: WCAG 2 A and AA, and what it calls best practice."""

from pathlib import Path
from typing import Any

from tests.browser.person import Person

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_RUN = """
const [rules, done] = arguments;
const options = { resultTypes: ["violations"], ...(rules ? { runOnly: { type: "rule", values: rules } } : {}) };
const failed = (error) => done([{ id: String(error), nodes: [] }]);
axe.run(document, options).then(({ violations }) => done(violations), failed);
"""
_WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Elements told of each rule.
_SHOWN = 3
# What depends on the colours.
CONTRAST = ["color-contrast"]


def violations(person: Person, rules: list[str] | None = None) -> list[str]:
    """What breaks a rule, of all rules or of some: of each the first elements."""
    person.script(f"if (!window.axe) {{ {_AXE} }}")
    found: list[dict[str, Any]] = person.driver.execute_async_script(_RUN, rules)  # type: ignore[no-untyped-call]
    lines = [
        f"{rule['id']} ({len(rule['nodes'])}): {node['target']} {node['html'][:160]!r} {_why(node)}"
        for rule in found
        for node in rule["nodes"][:_SHOWN]
    ]
    return lines or [rule["id"] for rule in found]


def _why(node: dict[str, Any]) -> str:
    messages = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
    return messages[0][:200] if messages else ""


def too_wide(person: Person) -> list[str]:
    over = person.script(_WIDER)
    return [f"the page is {over} px too wide"] if over > 0 else []
