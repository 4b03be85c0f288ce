"""H8: what a provider says it counted on a day, beside what we captured."""

from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llm.models import Model, Usage
from llm.seeds import plant
from notifications.models import Alert
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db

DAY = "2026-11-21"
# The id at the provider of doubao-pro.
PRO = "ep-20241201140014-vbzjz"
HEAD = "model,input_tokens,output_tokens\n"


def used(buyer: User, read: int, written: int, at: str = f"{DAY}T12:00:00+08:00", **more: Any) -> None:
    Usage.objects.create(
        **{
            "request_id": f"req_{Usage.objects.count()}", "user": buyer, "model_name": "doubao-pro", "provider": "ark",
            "operation": "chat", "input_tokens": read, "output_tokens": written, "usage_source": "provider",
            "outcome": "ok", "created": datetime.fromisoformat(at), **more,
        }
    )  # fmt: skip


@pytest.fixture
def compare(tmp_path: Path, db: None) -> Any:
    """Runs the command on a bill; its exit code and what it said."""
    plant(Model)

    def run(content: str | bytes, *options: str, provider: str = "ark") -> tuple[int, str]:
        file = tmp_path / "bill.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        out = StringIO()
        arguments = ["--provider", provider, "--date", DAY, "--file", str(file), *options]
        try:
            call_command("compare_upstream_bill", *arguments, stdout=out, stderr=out)
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
        return 0, out.getvalue()

    return run


def test_H8_a_bill_that_agrees_is_no_news(buyer: User, compare: Any) -> None:
    used(buyer, 600, 60)
    used(buyer, 400, 40, model_name="doubao-pro")
    code, said = compare(f"{HEAD}{PRO},1000,60\n{PRO},5,41\n")
    assert (code, Alert.objects.count()) == (0, 0), said
    assert f"{PRO}: input 1005 billed, 1000 captured; output 101 billed, 100 captured" in said


@pytest.mark.parametrize(
    ("line", "code"),
    [("10000,1000", 0), ("10100,1010", 0), ("9900,990", 0), ("10102,1000", 1), ("10000,1011", 1), ("9899,1000", 1)],
)
def test_H8_one_percent_is_the_limit(buyer: User, compare: Any, line: str, code: int) -> None:
    used(buyer, 10_000, 1000)
    assert compare(f"{HEAD}{PRO},{line}\n")[0] == code
    assert Alert.objects.count() == code


def test_H8_a_difference_raises_one_alert_a_day_with_the_figures(buyer: User, compare: Any) -> None:
    used(buyer, 10_000, 1000)
    for _ in range(2):
        assert compare(f"{HEAD}{PRO},20000,1000\n")[0] == 1
    alert = Alert.objects.get()
    assert (alert.event, alert.level, alert.count) == ("upstream_bill_differs", "warning", 2)
    assert f"{PRO}: input 20000 billed, 10000 captured" in alert.content
    assert DAY in alert.title


def test_H8_what_only_one_side_knows_differs(buyer: User, compare: Any) -> None:
    """A key of ours that somebody else uses too; and usage that the provider never counted."""
    code, said = compare(f"{HEAD}somebody-elses-model,5,5\n")
    assert code == 1
    assert "somebody-elses-model: input 5 billed, 0 captured" in said
    used(buyer, 5, 5, model_name="a model that was deleted")
    code, said = compare(HEAD)
    assert code == 1
    assert "a model that was deleted: input 0 billed, 5 captured" in said


def test_H8_the_day_is_beijings_unless_said_otherwise(buyer: User, compare: Any) -> None:
    for moment, count in [("20T23:59:59", 1), ("21T00:00:00", 10), ("21T23:59:59", 100), ("22T00:00:00", 1000)]:
        used(buyer, count, 0, at=f"2026-11-{moment}+08:00")
    assert compare(f"{HEAD}{PRO},110,0\n")[0] == 0
    # 8 hours later by the clock of Beijing.
    used(buyer, 10_000, 0, at="2026-11-22T07:59:59+08:00")
    used(buyer, 100_000, 0, at="2026-11-22T08:00:00+08:00")
    assert compare(f"{HEAD}{PRO},11100,0\n", "--timezone", "UTC")[0] == 0


def test_H8_other_providers_and_other_measures_are_left_out(buyer: User, compare: Any) -> None:
    used(buyer, 70, 0, provider="openai", model_name="gpt-4")
    used(buyer, 0, 7, provider="openai", model_name="dall-e-3", operation="images")
    assert compare(HEAD)[0] == 0
    assert compare(f"{HEAD}gpt-4,70,0\ndall-e-3,900,900\n", provider="openai")[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must name these columns"),
        ("a,b,c\n1,2,3\n", "must name these columns"),
        ("model,model,input_tokens,output_tokens\n", "each once"),
        (f"{HEAD}gpt,1\n", "Line 2 has not as many values"),
        (f"{HEAD}gpt,1,2,3\n", "Line 2 has not as many values"),
        (f"{HEAD}ok,1,2\n ,1,2\n", "Line 3 names no model"),
        (f"{HEAD}gpt,-1,2\n", "'-1' is no number of tokens"),
        (f"{HEAD}gpt,1.5,2\n", "'1.5' is no number"),
        (f'{HEAD}gpt,"1,000",2\n', "'1,000' is no number"),
        (f"{HEAD}gpt,1e3,2\n", "Write digits only"),
        (f"{HEAD}gpt,١,2\n", "is no number"),
        (f"{HEAD}gpt,,2\n", "'' is no number"),
        (f"{HEAD}gpt,{'9' * 30},2\n", "is no number"),
        (f'{HEAD}"gpt,1,2\n', "not CSV"),
        (HEAD.encode("utf-16"), "not UTF-8"),
        (f"{HEAD}gpt\0,1,2\n", "names no model"),
    ],
)
def test_H8_a_file_that_is_no_bill_is_refused_and_changes_nothing(
    buyer: User, compare: Any, content: str | bytes, said: str
) -> None:
    used(buyer, 10_000, 1000)
    code, text = compare(content)
    assert code == 2
    assert said in text
    assert not Alert.objects.exists()


def test_H8_a_byte_order_mark_spaces_and_other_columns_do_no_harm(buyer: User, compare: Any) -> None:
    used(buyer, 100, 10)
    content = f"\ufeffday, output_tokens ,model,input_tokens\r\n{DAY}, 10 , {PRO} ,100\r\n"
    assert compare(content.encode())[0] == 0


def test_H8_a_wrong_option_is_explained(compare: Any, tmp_path: Path) -> None:
    for options, text in [
        (["--timezone", "Mars/Olympus"], "no time zone"),
        (["--timezone", "../../etc/passwd"], "no time zone"),
        (["--date", "yesterday"], "no day"),
        (["--provider", "acme"], "invalid choice"),
    ]:
        with pytest.raises(CommandError, match=text):
            compare(HEAD, *options)
    code, said = compare(HEAD, "--file", str(tmp_path / "missing.csv"))
    assert (code, "cannot be read" in said) == (2, True)
