"""Who a visitor is, by WeChat's OAuth for web pages: the visitor is sent to WeChat and comes back with a code.

In WeChat's own browser it buys the openid (developers.weixin.qq.com, "网页授权"; with the scope snsapi_base the visitor
notices nothing). In any other WeChat shows a QR code, the visitor scans it and agrees on the phone, and the code buys
the unionid as well ("网站应用微信登录开发指南").
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from .base import BASE_URL, CodeRefused, ask, openid_in, text_in
from .mini_program import WeChatPerson

PAGE = "https://open.weixin.qq.com/connect/oauth2/authorize"
QR_PAGE = "https://open.weixin.qq.com/connect/qrconnect"


@dataclass(frozen=True)
class WebLogin:
    """An official account. `page` is where visitors are sent, `base_url` where codes are sold."""

    app_id: str
    app_secret: str = field(repr=False)
    page: str = PAGE
    base_url: str = BASE_URL

    scope: ClassVar = "snsapi_base"

    def address(self, back: str, state: str) -> str:
        """Where to send the visitor, who comes `back` with ?code= and ?state=."""
        # WeChat compares the address with a pattern: the order of the parameters counts, and so does the fragment.
        asked = {
            "appid": self.app_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": self.scope,
            "state": state,
        }
        return f"{self.page}?{urlencode(asked)}#wechat_redirect"

    def openid(self, code: str) -> str:
        """The visitor's openid under our app id. A code is good once. Raises LoginFailed."""
        return openid_in(self._sold(code))

    def _sold(self, code: str) -> dict[str, Any]:
        asked = {
            "appid": self.app_id,
            "secret": self.app_secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        return ask("GET", f"{self.base_url}/sns/oauth2/access_token?{urlencode(asked)}")

    def check(self) -> None:
        """Whether app id and secret belong together: asks whose a code is that nobody has. Raises LoginFailed."""
        with suppress(CodeRefused):
            self.openid("0" * 32)


@dataclass(frozen=True)
class WebsiteLogin(WebLogin):
    """A website app of the Open Platform, whose visitors scan a QR code."""

    page: str = QR_PAGE

    scope: ClassVar = "snsapi_login"

    def person_of(self, code: str) -> WeChatPerson:
        """Whom a code belongs to. The tokens that come with it are not wanted. Raises LoginFailed."""
        said = self._sold(code)
        return WeChatPerson(openid_in(said), text_in(said, "unionid")[:128])

    @property
    def check_address(self) -> str:
        """What `check` calls, for people: without query, without secret."""
        return f"GET {self.base_url}/sns/oauth2/access_token"
