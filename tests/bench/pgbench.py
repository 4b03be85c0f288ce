"""The same writes by PostgreSQL's own load generator: nothing but the database, as fast as it goes."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from django.db import connection

from voicehelper.embedded.postgres import binaries

# One credited payment: the order moves, the wallet changes, the entry says so. Order ids are :base + 1, + 2, …
SETTLE = r"""
\set i :i + 1
\set id :base + :client_id * :each + :i
\set wallet :first_wallet + (:id + :shift) % :wallets
BEGIN;
UPDATE topup_order SET state = 'paid', transaction_id = 'pgbench' || :id, paid_at = now(), credited_at = now(),
    credited_by = 'notice', paid_late = false, failure = '', next_ask_at = NULL WHERE id = :id AND state = 'pending';
UPDATE wallet_wallet SET balance = balance + :quota WHERE id = :wallet;
INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)
    SELECT :wallet, 'topup', :quota, balance, (SELECT order_no FROM topup_order WHERE id = :id), 'notice', ''
    FROM wallet_wallet WHERE id = :wallet;
COMMIT;
"""

# One new order: a copy of row :like under another number.
PLACE = r"""
INSERT INTO topup_order ({columns}) SELECT {values} FROM topup_order WHERE id = :like;
"""


def settle(orders: int, *, clients: int, **variables: int) -> float:
    """Transactions per second."""
    each = orders // clients
    return _run(SETTLE, clients, each, variables | {"each": each, "i": 0})


def place(orders: int, *, clients: int, like: int) -> float:
    """Transactions per second."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, "topup_order")
    columns = [column.name for column in found if column.name != "id"]
    new = {"order_no": "substr(md5(random()::text || clock_timestamp()::text), 1, 32)", "created": "now()"}
    script = PLACE.format(columns=", ".join(columns), values=", ".join(new.get(name, name) for name in columns))
    return _run(script, clients, orders // clients, {"like": like})


def _run(script: str, clients: int, each: int, variables: dict[str, int]) -> float:
    there = connection.settings_dict
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [_program(), "-n", "-f", file.name, "-c", str(clients), "-j", "2", "-t", str(each)]
        command += [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
        command += ["-U", there["USER"], there["NAME"]]
        place = {"PGHOST": there["HOST"], "PGPORT": str(there["PORT"] or 5432), "PGPASSWORD": there["PASSWORD"]}
        env = {**os.environ, **place, "PGOPTIONS": "-c synchronous_commit=on"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or not found or " 0 (0.000%)" not in done.stdout.partition("failed transactions:")[2][:12]:
        raise RuntimeError(f"pgbench: {done.stdout}{done.stderr}")
    return float(found[1])


def _program() -> str:
    program: Path = binaries() / "pgbench"
    if not program.exists():
        raise RuntimeError(f"There is no pgbench beside PostgreSQL's other programs ({program}).")
    return str(program)
