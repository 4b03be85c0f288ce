"""Who somebody is at WeChat: in the mini program, and in its own browser. Plain protocol, without models.

The app secret travels in the address, so no address is ever shown, logged or part of an error.
"""

from .base import AppRefused, CodeRefused, LoginFailed, PersonBlocked, TooOften, WeChatAway
from .mini_program import MiniProgram, WeChatPerson
from .web_login import WebLogin

__all__ = [
    "AppRefused",
    "CodeRefused",
    "LoginFailed",
    "MiniProgram",
    "PersonBlocked",
    "TooOften",
    "WeChatAway",
    "WeChatPerson",
    "WebLogin",
]
