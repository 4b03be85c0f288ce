"""`exec`: a command with fresh services and a throw-away data folder around it."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from voicehelper.embedded import environment, folder, signals
from voicehelper.embedded.process import Process
from voicehelper.embedded.services import services
from voicehelper.embedded.translations import compile_translations


def execute(command: Sequence[str], *, durable: bool = True) -> int:
    """The command's exit code. Servers and folder are gone when this returns, and soon after if we are killed."""
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="voicehelper-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        folder.prepare(data)
        addresses, _ = stack.enter_context(services(data, durable=durable))
        compile_translations(folder.ROOT / "locale")
        variables = {**environment.test_values(), **addresses, "VOICEHELPER_DATA": str(data)}
        signals.leave_ctrl_c_to_the_command()
        with Process(
            "command",
            command,
            data,
            env={**os.environ, **variables},
            foreground=True,
            remove=[data],
        ) as process:
            return process.wait()
