"""Who a visitor of WeChat's own browser is, by its OAuth for web pages: the visitor is sent to WeChat and comes back
with a code, which buys the openid.

Source: developers.weixin.qq.com, "网页授权". With the scope snsapi_base the visitor notices nothing.
"""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

from voicehelper.net.http import TRUSTED, HTTPError, Limits

from ..base import Refused, Unknown

PAGE = "https://open.weixin.qq.com/connect/oauth2/authorize"
API = "https://api.weixin.qq.com"
# A person waits for the page.
_LIMITS = Limits(connect_s=2, read_s=3, total_s=4)
_OPENID_CHARS = 128


@dataclass(frozen=True)
class WebLogin:
    """An official account. `page` is where visitors are sent, `api` where codes are sold; empty are the real ones."""

    app_id: str
    secret: str = field(repr=False)
    page: str = ""
    api: str = ""

    def address(self, back: str, state: str) -> str:
        """Where to send the visitor, who comes `back` with ?code= and ?state=."""
        # WeChat compares the address with a pattern: the order of the parameters counts, and so does the fragment.
        asked = {
            "appid": self.app_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
        }
        return f"{self.page or PAGE}?{urlencode(asked)}#wechat_redirect"

    def openid(self, code: str) -> str:
        """The visitor's openid under our app id. A code is good once. Raises Refused, Unknown."""
        asked = {
            "appid": self.app_id,
            "secret": self.secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        url = f"{(self.api or API).rstrip('/')}/sns/oauth2/access_token?{urlencode(asked)}"
        try:
            answer = TRUSTED.send("GET", url, limits=_LIMITS)
        except HTTPError as error:
            raise Unknown(str(error)) from error
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if answer.status != 200 or not isinstance(said, dict):
            raise Unknown(f"WeChat answered with HTTP status {answer.status} and no JSON object.")
        if said.get("errcode"):
            raise Refused(str(said["errcode"]), str(said.get("errmsg", ""))[:200])
        openid = said.get("openid")
        if not isinstance(openid, str) or not 0 < len(openid) <= _OPENID_CHARS or not openid.isprintable():
            raise Unknown("WeChat's answer holds no openid.")
        return openid
