"""The asserts of the tests, rewritten by all workers together.

pytest rewrites each module when it is imported and keeps the outcome. In a fresh clone nothing is kept yet, and each
worker would rewrite all of them: ten seconds of a core each. So every worker does its share first, and finds the rest.
"""

import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def do_share(config: pytest.Config) -> None:
    """Nothing when there is one worker only, or when it may keep nothing."""
    if not hasattr(config, "workerinput") or sys.dont_write_bytecode:
        return
    place, workers = int(config.workerinput["workerid"].removeprefix("gw")), config.workerinput["workercount"]
    roots = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    for module in sorted({each for root in roots for each in root.rglob("test_*.py")})[place::workers]:
        _rewrite(module, config)


def _rewrite(module: Path, config: pytest.Config) -> None:
    """What pytest does when it imports the module, but for running it."""
    folder = rewrite.get_cache_dir(module)
    kept = folder / (module.stem + rewrite.PYC_TAIL)
    if rewrite._read_pyc(module, kept) is None and rewrite.try_makedirs(folder):
        source_hash, code = rewrite._rewrite_test(module, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source_hash, kept)
