"""What keeps somebody from signing in, and what is said then."""

from django.utils.translation import gettext_lazy as _

from voicehelper.api.errors import ErrorAnswer, Rule

from .consents import TextsChanged
from .deleting import BalanceLeft, DeletionRefused
from .exports import ExportRefused
from .mini_program import AnotherUsers, Inactive, NotSetUp
from .minors import MinorsLimit
from .own_choice import ChooseFirst
from .own_password import PasswordRefused
from .second_factor import SetUpFirst, WrongCode
from .services import TooManyKeys, WrongPassword
from .website import NoOtherWay, QuestionDead
from .wechat.base import AppRefused, CodeRefused, PersonBlocked, TooOften, WeChatAway

_NOT_SET_UP = ErrorAnswer(503, _("The administrator has not finished setting up WeChat sign-in"))


def _wrong_password(error: WrongPassword) -> ErrorAnswer:
    """Also where it was not looked at, because the brake of backends.py holds."""
    if error.wait_s:
        words = _("Too many failed tries, please wait a while")
        return ErrorAnswer(429, words, retry_after_s=error.wait_s)
    return ErrorAnswer(401, _("Wrong user name or password"))


def _not_confirmed(error: PasswordRefused) -> ErrorAnswer:
    return ErrorAnswer(429 if error.wait_s else 403, str(error), retry_after_s=error.wait_s)


def _wrong_code(error: WrongCode) -> ErrorAnswer:
    if error.wait_s:
        return ErrorAnswer(429, error.words, retry_after_s=error.wait_s)
    return ErrorAnswer(401, error.words, "second_factor", more={"code": "second_factor"})


def _wechat_away(error: WeChatAway) -> ErrorAnswer:
    return ErrorAnswer(504 if error.late else 502, _("WeChat does not answer, please try again"))


def _deletion_refused(error: DeletionRefused) -> ErrorAnswer:
    return ErrorAnswer(409, str(error), "cannot_be_deleted", more={"obstacles": error.reasons})


def _export_refused(error: ExportRefused) -> ErrorAnswer:
    return ErrorAnswer(429 if error.wait_s else 503, error.words, retry_after_s=error.wait_s)


def _minors_limit(error: MinorsLimit) -> ErrorAnswer:
    technical = f"Minors' mode is on for this account: {_MINORS[error.limit]}"
    return ErrorAnswer(403, error.words, "minors_mode", technical=technical, more={"limit": error.limit})


_MINORS = {
    "night": "nothing is answered at night.",
    "time": "the time for today is used up.",
    "use": "this call may cost more than is left of what may be spent today.",
    "recharge": "this is more than may be recharged today.",
}


REFUSALS: dict[type[Exception], Rule] = {
    WrongPassword: _wrong_password,
    PasswordRefused: _not_confirmed,
    WrongCode: _wrong_code,
    SetUpFirst: ErrorAnswer(
        403, _("Operators set up two-step sign-in on the web page first"), more={"code": "second_factor"}
    ),
    ChooseFirst: ErrorAnswer(
        403, _("Choose a password of your own on the web page first"), more={"code": "password_given"}
    ),
    CodeRefused: ErrorAnswer(401, _("The sign-in code is not valid any more, please sign in again")),
    PersonBlocked: ErrorAnswer(403, _("WeChat does not let this account sign in for now")),
    TooOften: ErrorAnswer(429, _("You sign in too often, please wait a minute"), retry_after_s=60),
    AppRefused: _NOT_SET_UP,
    NotSetUp: _NOT_SET_UP,
    WeChatAway: _wechat_away,
    Inactive: ErrorAnswer(403, _("This account is deactivated, please contact the administrator")),
    AnotherUsers: ErrorAnswer(409, _("This WeChat account belongs to another user here")),
    QuestionDead: ErrorAnswer(400, _("This sign-in was not begun here, or is over. Please begin again")),
    NoOtherWay: ErrorAnswer(409, _("Without WeChat you could not sign in any more")),
    MinorsLimit: _minors_limit,
    TextsChanged: ErrorAnswer(409, _("These texts are not in force any more: read the new ones"), "texts_changed"),
    DeletionRefused: _deletion_refused,
    BalanceLeft: ErrorAnswer(
        409, _("There is a balance, which cannot be paid out: say that you give it up"), "balance_left"
    ),
    ExportRefused: _export_refused,
    TooManyKeys: ErrorAnswer(409, _("You have as many keys as one may have: delete one first"), "too_many_keys"),
}
