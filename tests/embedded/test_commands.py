import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import environ
import pytest

from sandbox.upstream.catalogue import BASE_PATHS, CUSTOMERS
from tests.conftest import rarely, sampled
from tests.embedded.conftest import processes_of, wait_for
from voicehelper.embedded import environment
from voicehelper.embedded.folder import ROOT, Lock
from voicehelper.embedded.process import EmbeddedError
from voicehelper.embedded.translations import compile_translations

EMBEDDED = [sys.executable, "-m", "voicehelper.embedded"]
# Neither server is needed to see what happens to the command.
NO_SERVICES = {"DATABASE_URL": "postgres://a@b/c", "REDIS_URL": "redis://d"}


def start(*arguments: str, prefix: Sequence[str] = (), **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, *EMBEDDED, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def refusal(**variables: str) -> str:
    """What `run` says when it ends with exit code 1."""
    process = start("run", **variables)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    return error


def test_exec_gives_its_command_a_test_environment_and_passes_on_the_exit_code() -> None:
    script = 'echo "$VOICEHELPER_MODE $DATABASE_URL $VOICEHELPER_DATA"; exit 5'
    process = start("exec", "--", "bash", "-c", script, **NO_SERVICES)
    mode, database, data = process.communicate(timeout=30)[0].split()
    assert process.returncode == 5
    assert (mode, database) == ("test", NO_SERVICES["DATABASE_URL"])
    assert not Path(data).exists()


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGKILL, -9), *rarely((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129))],
)
def test_exec_leaves_nothing_behind_however_it_is_stopped(number: signal.Signals, exit_code: int) -> None:
    # One server shows as much as two, except when nobody is left to wait for them.
    services = {} if number == signal.SIGKILL else {"DATABASE_URL": NO_SERVICES["DATABASE_URL"]}
    process = start("exec", "--", "bash", "-c", 'echo "$VOICEHELPER_DATA"; sleep 60; true', **services)
    assert process.stdout
    data = Path(process.stdout.readline().strip())
    assert len(processes_of(data)) >= 3
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == exit_code
    wait_for(lambda: not processes_of(data) and not data.exists())


@pytest.mark.rare
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become somebody else")
def test_exec_works_for_an_ordinary_user() -> None:
    # Python itself may be installed where only root looks (as pyenv does): reading is allowed, nothing else is.
    caps = "+dac_read_search"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    nobody += [f"--inh-caps={caps}", f"--ambient-caps={caps}"]
    process = start("exec", "--", "bash", "-c", "id -u; echo $DATABASE_URL", prefix=nobody)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert output.startswith("65534\npostgres://postgres@:5432//")


def test_a_busy_port_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        message = refusal(PORT=str(port), VOICEHELPER_DATA=str(tmp_path))
    assert f"Port {port}: Address already in use" in message
    assert f"make run PORT={port + 1}" in message


@pytest.mark.parametrize("port", sampled(["http", "-1", "65536"], keep=1))
def test_a_port_that_is_none_is_refused(port: str, tmp_path: Path) -> None:
    assert "PORT is" in refusal(PORT=port, VOICEHELPER_DATA=str(tmp_path))


def test_a_second_run_on_the_same_data_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    message = refusal(PORT="0", VOICEHELPER_DATA=str(tmp_path))
    lock.release()
    assert f"Another run (process {os.getpid()})" in message
    assert "VOICEHELPER_DATA=" in message
    Lock(tmp_path).release()


def test_django_environ_and_a_shell_read_back_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = environment.demo_values(8123, environment.new_keys()) | {"ODD": 'a b#c"d\\e=%', "EMPTY": ""}
    file = tmp_path / "env"
    environment.write(file, values)
    assert file.stat().st_mode & 0o777 == 0o600
    read: dict[str, str] = {}
    monkeypatch.setattr(environ.Env, "ENVIRON", read)
    environ.Env.read_env(str(file))
    assert read == values
    assert subprocess.check_output(["bash", "-c", f'. {file}; echo "$ODD"'], text=True) == values["ODD"] + "\n"
    with pytest.raises(EmbeddedError, match="ODD"):
        environment.write(file, {"ODD": "two\nlines"})


def test_keys_are_kept_from_run_to_run_and_what_the_environment_says_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "env"
    keys = environment.kept_keys(file)
    environment.write(file, environment.demo_values(8000, keys))
    assert environment.kept_keys(file) == keys
    monkeypatch.setenv("SECRET_KEY", "mine")
    monkeypatch.setenv("SANDBOX", "False")
    values = environment.with_overrides(environment.demo_values(8000, keys))
    assert (values["SECRET_KEY"], values["SANDBOX"]) == ("mine", "False")
    assert values["VOICEHELPER_SECRET_KEYS"] == keys["VOICEHELPER_SECRET_KEYS"]


def test_a_demo_has_accounts_at_the_stand_ins_for_models() -> None:
    values = environment.demo_values(8123, environment.new_keys())
    for brand, provider in {"ARK": "ark", "OPENAI": "openai", "ANTHROPIC": "anthropic"}.items():
        assert values[f"{brand}_API_KEY"] == CUSTOMERS[provider][0].key
        assert values[f"{brand}_BASE_URL"] == f"http://127.0.0.1:8123{BASE_PATHS[provider]}"


def test_a_real_key_is_not_sent_to_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_API_KEY", "real")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.com/v1")
    values = environment.with_overrides(environment.demo_values(8123, environment.new_keys()))
    assert (values["ARK_API_KEY"], values["ARK_BASE_URL"]) == ("real", "")
    assert (values["OPENAI_API_KEY"], values["OPENAI_BASE_URL"]) == ("", "https://example.com/v1")
    assert values["ANTHROPIC_BASE_URL"]


def test_translations_are_compiled_once_and_again_after_a_change(tmp_path: Path) -> None:
    source = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    source.write_text(header + 'msgid "Recharge"\nmsgstr "充值"\n')
    assert compile_translations(tmp_path) == 1
    assert "充值".encode() in source.with_suffix(".mo").read_bytes()
    assert compile_translations(tmp_path) == 0
    os.utime(source, (source.stat().st_mtime + 5,) * 2)
    assert compile_translations(tmp_path) == 1
    assert sorted(path.name for path in source.parent.iterdir()) == ["django.mo", "django.po"]
