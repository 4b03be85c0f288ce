"""docs/operations.md is a script: from an empty folder to the first paid order and the first alert mailed."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from sandbox import buyer as sandbox_buyer
from sandbox.management.commands import open_sandbox_accounts
from sandbox.models import Trade
from sandbox.smtp import Mail, MailServer
from tests.composed import Composition, empty_server
from tests.image import ROOT, Image
from tests.processes import Reply, Server

pytestmark = [pytest.mark.rare, pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

HANDBOOK = (ROOT / "docs/operations.md").read_text()
OPERATOR, OPERATORS_PASSWORD = "operator", "a long operator password"
# What an operator enters under *Alert channels*.
CHANNEL = """
from notifications.models import Channel
from voicehelper.secrets import Secret
Channel.objects.create(kind="email", name="mail", secret=Secret("mail password"), options={{
    "host": "127.0.0.1", "port": {port}, "security": "plain", "sender": "alerts@example.com",
    "recipients": ["ops@example.com"], "username": "alerts"}})
"""


# What the platform said to the last question, or why it was not asked.
WHY = "from topup.models import GatewayCall as c; print(c.objects.values().last())"


def script_of(heading: str) -> list[str]:
    """The lines of the first shell block below a heading."""
    block = re.search(r"```sh\n(.*?)```", HANDBOOK[HANDBOOK.index(f"## {heading}\n") :], re.DOTALL)
    assert block
    return [line for line in block[1].splitlines() if line and not line.startswith("#")]


@pytest.fixture
def mails() -> Iterator[tuple[int, list[Mail]]]:
    taken: list[Mail] = []
    with MailServer(0, check=lambda _user, _password: True, take=taken.append) as server:
        yield server.port, taken


def until(found: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < deadline, "that does not come"
        time.sleep(0.5)
    return what


def test_the_handbook_leads_from_an_empty_folder_to_the_first_payment_and_the_first_alert(
    image: Image, mails: tuple[int, list[Mail]]
) -> None:
    port, taken = mails
    at = connection.settings_dict
    address = {"host": at["HOST"], "port": at["PORT"] or 5432, "user": at["USER"], "password": at["PASSWORD"]}
    with Server() as providers, empty_server(address | {"dbname": "postgres"}) as server:
        given = {
            "WECHAT_PAY_BASE_URL": f"{providers.address}/sandbox/wechat",
            "SMTP_PRIVATE_HOSTS": "127.0.0.1",
            "DJANGO_SUPERUSER_PASSWORD": OPERATORS_PASSWORD,
            # Nobody sits here with a phone, on whose second step operators are let in (tests/browser has one).
            "STAFF_SECOND_FACTOR": "False",
        }
        there = Composition(image, server, **given)
        try:
            for line in script_of("On one machine"):
                if "createsuperuser" in line:
                    line += f" --noinput --username {OPERATOR} --email operator@example.com"
                there.sh(line)
            # Who runs it owns nothing.
            whose = "from django.db import connection as c; k = c.cursor(); k.execute('{}'); print(k.fetchone()[0])"
            owns = "SELECT count(*) FROM pg_class JOIN pg_roles ON relowner = pg_roles.oid WHERE rolname = current_user"
            assert there.sh(f'docker compose exec web-a python manage.py shell -v 0 -c "{whose.format(owns)}"') == "0\n"
            for page in ("/accounts/sign-in", "/admin/login/", "/api/docs"):
                assert there.ask("GET", page).status == 200, page
            there._run("web-a", f"python manage.py shell -v 0 -c '{CHANNEL.format(port=port)}'")
            assert paid_order(there)
            mail = until(lambda: next(iter(taken), None))
            assert list(mail.recipients) == ["ops@example.com"]
            print(f"first alert mailed: {mail.subject}")
        finally:
            there.down()


def paid_order(there: Composition) -> bool:
    """The operator switches WeChat Pay on, and buys; whether the order is paid in the end."""

    def send(method: str, path: str, data: Any = None) -> Reply:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        body = None if data is None else json.dumps(data).encode()
        return there.ask(method, path, body=body, headers=headers)

    def ask(method: str, path: str, data: Any = None) -> Any:
        reply = send(method, path, data)
        assert reply.status == 200, (path, reply)
        return reply.json

    def place() -> Any:
        """The provider may be too busy at first, as on any day."""
        reply = send("POST", "/api/user/wechat/pay", {"amount": 10, "payment_method": "wechat"})
        if reply.status != 200:
            print(there.sh(f"docker compose exec web-a python manage.py shell -v 0 -c '{WHY}'"))
        return reply.status == 200 and reply.json["data"]

    token = ""
    token = ask("POST", "/api/auth/login", {"username": OPERATOR, "password": OPERATORS_PASSWORD})["token"]
    merchant = open_sandbox_accounts.wechat_account()
    options = {
        # The stand-in tells of payments on loopback only; what it cannot tell, the page's poll asks for.
        "ServerAddress": "https://127.0.0.1",
        "WechatAppId": merchant["app_id"],
        "WechatMchId": merchant["mch_id"],
        "WechatApiV2Key": merchant["api_key"],
        "WechatEnabled": True,
        "CurrentPassword": OPERATORS_PASSWORD,
    }
    ask("PUT", "/api/option", options)
    placed = until(place)
    sandbox_buyer.pay(Trade.objects.select_related("merchant").get(out_trade_no=placed["order_id"]), {"drop": {}})
    order = f"/api/user/topup/orders/{placed['order_id']}"
    return bool(until(lambda: ask("GET", order)["data"]["status"] == "paid"))
