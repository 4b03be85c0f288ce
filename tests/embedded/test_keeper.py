import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.embedded.conftest import processes_of, wait_for
from voicehelper.embedded.process import EmbeddedError, Process, stop_leftovers

# A starter that can be killed: it starts the command in argv and waits for ever.
STARTER = """
import sys, time
from pathlib import Path
from voicehelper.embedded.process import Process
started = Process("victim", sys.argv[2:], Path(sys.argv[1]), grace_s=1)
time.sleep(60)
"""


def shell(script: str, folder: Path) -> list[str]:
    """A shell command whose command line names the folder, so that `processes_of` finds all that it starts."""
    return ["bash", "-c", script, str(folder)]


def test_the_exit_code_is_the_commands_own(folder: Path) -> None:
    assert Process("seven", shell("exit 7", folder), folder).wait() == 7
    assert Process("killed", shell("kill -9 $$", folder), folder).wait() == 128 + signal.SIGKILL
    assert Process("missing", [folder / "no-such-program"], folder).wait() == 127


def test_a_command_ends_when_its_starter_is_killed_without_warning(folder: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, folder, *shell("sleep 60; true", folder)])
    wait_for((folder / "run" / "victim.pid").exists)
    starter.kill()
    starter.wait()
    wait_for(lambda: not processes_of(folder))
    assert list((folder / "run").iterdir()) == []


def test_what_ignores_the_stop_signal_or_daemonised_is_killed_after_the_grace_period(folder: Path) -> None:
    deaf = "trap '' TERM; while true; do sleep 0.1; done"
    script = f'setsid bash -c "{deaf}" $0 & {deaf}'
    process = Process("stubborn", shell(script, folder), folder, grace_s=0.3)
    wait_for(lambda: len(processes_of(folder)) == 3)  # with the keeper
    start = time.monotonic()
    process.stop()
    assert 0.3 <= time.monotonic() - start < 3
    assert processes_of(folder) == []


def test_what_a_command_leaves_running_ends_with_it(folder: Path) -> None:
    process = Process("careless", shell("setsid bash -c 'sleep 60; true' $0 & sleep 0.1; exit 3", folder), folder)
    assert process.wait() == 3


def test_a_leftover_of_a_killed_keeper_is_stopped_by_the_next_run(folder: Path) -> None:
    process = Process("orphan", shell("sleep 60; true", folder), folder)
    wait_for(lambda: process.pid)
    process._keeper.kill()
    process._keeper.wait()
    assert len(processes_of(folder)) == 1
    stop_leftovers(folder)
    assert processes_of(folder) == []


def test_a_process_that_only_has_the_same_number_is_left_alone(folder: Path) -> None:
    (folder / "run" / "old.pid").write_text(f"{os.getpid()} 12345 {int(signal.SIGKILL)} {os.getppid()} 12345")
    stop_leftovers(folder)
    assert list((folder / "run").iterdir()) == []


def test_a_command_that_dies_while_we_wait_is_reported_with_the_end_of_its_log(folder: Path) -> None:
    process = Process("talker", shell("echo the disk is full; exit 4", folder), folder)
    with pytest.raises(EmbeddedError, match=r"talker ended with exit code 4\n  \| the disk is full"):
        process.wait_until(lambda: False)


def test_a_long_wait_has_no_end_and_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voicehelper.embedded.process._WORD_EVERY_S", 0.1)
    looks = iter([False] * 20)
    with Process("slow", ["sleep", "60"], folder) as process:
        process.wait_until(lambda: next(looks, True), lambda: "answers 503")
    assert "slow answers 503 after 0 s" in capsys.readouterr().err
