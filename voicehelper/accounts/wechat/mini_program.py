"""WeChat's sign-in for mini programs: a code of `wx.login`, good for one use, becomes who somebody is."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from .base import BASE_URL, WeChatAway, ask, openid_in, text_in

_TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105  # an address


@dataclass(frozen=True)
class WeChatPerson:
    """Whom a code belongs to. `unionid` is empty unless the app is bound to an Open Platform account."""

    openid: str
    unionid: str = ""
    session_key: str = field(repr=False, default="")


@dataclass(frozen=True)
class MiniProgram:
    """One mini program and the secret that proves we are its server."""

    app_id: str
    app_secret: str = field(repr=False)
    base_url: str = BASE_URL

    def person_of(self, code: str) -> WeChatPerson:
        """Whom a code belongs to; busy answers are retried briefly. Raises LoginFailed."""
        query = urlencode(
            {
                "appid": self.app_id,
                "secret": self.app_secret,
                "js_code": code,
                "grant_type": "authorization_code",
            }
        )
        said = ask("GET", f"{self.base_url}/sns/jscode2session?{query}")
        return WeChatPerson(openid_in(said), text_in(said, "unionid")[:128], text_in(said, "session_key"))

    @property
    def check_address(self) -> str:
        """What `check` calls, for people: without query, without secret."""
        return f"POST {self.base_url}{_TOKEN_PATH}"

    def check(self) -> None:
        """Prove app id and secret by asking for an access token, which is thrown away. Raises LoginFailed."""
        asked = {"grant_type": "client_credential", "appid": self.app_id, "secret": self.app_secret}
        said = ask("POST", self.base_url + _TOKEN_PATH, json.dumps(asked | {"force_refresh": False}).encode())
        if not text_in(said, "access_token"):
            raise WeChatAway(0, _("WeChat’s answer holds no access token."))
