"""Who a visitor of WeChat's own browser is, by its OAuth for web pages: the visitor is sent to WeChat and comes back
with a code, which buys the openid.

Source: developers.weixin.qq.com, "网页授权". With the scope snsapi_base the visitor notices nothing.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from .base import BASE_URL, CodeRefused, ask, openid_in

PAGE = "https://open.weixin.qq.com/connect/oauth2/authorize"


@dataclass(frozen=True)
class WebLogin:
    """An official account. `page` is where visitors are sent, `base_url` where codes are sold."""

    app_id: str
    app_secret: str = field(repr=False)
    page: str = PAGE
    base_url: str = BASE_URL

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
        return f"{self.page}?{urlencode(asked)}#wechat_redirect"

    def openid(self, code: str) -> str:
        """The visitor's openid under our app id. A code is good once. Raises LoginFailed."""
        asked = {
            "appid": self.app_id,
            "secret": self.app_secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        return openid_in(ask("GET", f"{self.base_url}/sns/oauth2/access_token?{urlencode(asked)}"))

    def check(self) -> None:
        """Whether app id and secret belong together: asks whose a code is that nobody has. Raises LoginFailed."""
        with suppress(CodeRefused):
            self.openid("0" * 32)
