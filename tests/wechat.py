"""A mini program at the stand-in of WeChat, reached over real HTTP; and the people who open it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from rest_framework.test import APIClient

from sandbox.management.commands.open_sandbox_accounts import mini_program
from sandbox.models import WeChatApp
from topup.services.options import write_options
from voicehelper.accounts.models import MiniProgramSettings


@dataclass
class WeChat:
    """What happens on phones, and at WeChat itself. `address` is the server of this test."""

    address: str

    @property
    def app(self) -> WeChatApp:
        return WeChatApp.objects.order_by("pk")[0]

    def code(self, person: str = "xiaoming", app_id: str = "") -> str:
        """`wx.login` on somebody's phone."""
        asked = {"person": person, "appId": app_id}
        answer = requests.post(f"{self.address}/sandbox/wechat/code", json=asked, timeout=10)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["code"])

    def misbehaves(self, fault: str, operation: str = "login", **more: Any) -> None:
        script = {"gateway": "weixin", "operation": operation, "fault": fault, **more}
        answer = requests.post(f"{self.address}/sandbox/script", json=script, timeout=10)
        assert answer.status_code == 201, answer.text


def set_up_mini_program() -> None:
    """The operator enters what WeChat gave."""
    app = mini_program()
    write_options({"MiniProgramAppId": app["app_id"], "MiniProgramAppSecret": app["secret"]})


def sign_in(code: str, **more: Any) -> Any:
    return APIClient(raise_request_exception=False).post(
        "/api/auth/wx-login", {"code": code} | more, format="json", HTTP_ACCEPT_LANGUAGE="zh-hans"
    )


def signed_in(code: str, **more: Any) -> tuple[Callable[..., Any], int]:
    """A function that calls the API as whom the code belongs to, and that user's id."""
    answer = sign_in(code, **more)
    assert answer.status_code == 200, answer.content
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    return client, answer.json()["userInfo"]["id"]


def mini_program_app() -> str:
    """The app id of the mini program that is set up."""
    return str(MiniProgramSettings.load().app_id)
