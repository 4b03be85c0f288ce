"""python -m voicehelper.embedded run | exec [--no-fsync] -- COMMAND…"""

import argparse
import sys

from voicehelper.embedded import demo, execute, keeper, signals
from voicehelper.embedded.process import EmbeddedError


def main() -> int:
    """Exit code: 0 after a demo was stopped; the command's own; 1 after an error, which is explained on stderr."""
    parser = argparse.ArgumentParser(prog="python -m voicehelper.embedded", description=__doc__)
    parser.add_argument("--with-parent", action="store_true", help="also stop when our parent process is killed")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("run", help="start the demo and keep it running until Ctrl-C")
    command = actions.add_parser("exec", help="run a command with throw-away services").add_argument
    command("--no-fsync", action="store_true", help="PostgreSQL need not survive a power cut, and is faster for it")
    command("command", nargs="+")
    options = parser.parse_args()
    signals.raise_when_stopped()
    if options.with_parent:
        keeper.end_with_parent()
    try:
        if options.action == "exec":
            return execute.execute(options.command, durable=not options.no_fsync)
        demo.run()
    except signals.Stopped as stop:
        return stop.exit_code if options.action == "exec" else 0
    except EmbeddedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
