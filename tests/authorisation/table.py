"""The table: what every address answers to whom. A new address needs a line here.

Visitors are strangers to us (nobody), the buyer whose rows they are, another user, an operator of each role that comes
along, and a superuser. Never does any of them get a 5xx, but where an operator has not set something up.
"""

import re
from dataclasses import dataclass

NOBODY, BUYER, OTHER = "nobody", "buyer", "other user"
SUPPORT, FINANCE, MODELS, READ_ONLY, BOSS = "support", "finance", "models", "read-only", "superuser"
ROLES = (SUPPORT, FINANCE, MODELS, READ_ONLY)
VISITORS = (NOBODY, BUYER, OTHER, *ROLES, BOSS)

# What a policy says of an answer.
LET_IN, SIGN_IN, UNAUTHORIZED, FORBIDDEN, MISSING, REFUSED, WRONG_METHOD, NOT_SET_UP = (
    "let in",  # nothing below: a page, a form with its mistakes, a redirect to the next step
    "to the sign-in page",
    "401",
    "403",
    "404",
    "4xx",
    "405",
    "503",
)


@dataclass(frozen=True)
class Line:
    """Addresses of users and programs: what nobody, the owner, and every other user are told. For those who are
    signed in, an operator is one more user."""

    route: str
    nobody: str
    owner: str = LET_IN
    others: str = LET_IN
    # Operators who are let in where other users are not.
    but: tuple[str, ...] = ()


# --- Pages and the API -----------------------------------------------------------------------------------------------
_PUBLIC = [
    "accounts/sign-in",
    "accounts/sign-up",
    "accounts/sign-out",
    "accounts/forgot",
    "accounts/reset/<uidb64>/<token>",
    "accounts/email/<str:token>",
    "accounts/passkeys/ask",
    "legal/<slug:kind>",
    "prices",
    "api/share/visit",
    "gateways.css",
    "i18n/setlang/",
    "api/schema",
    "api/docs",
    "healthz",
    "readyz",
    "admin/login/",
    "admin/logout/",
]
_PAGES = [
    "accounts/password",
    "accounts/email",
    "accounts/devices",
    "accounts/two-steps",
    "accounts/passkeys/begin",
    "accounts/passkeys/add",
    "accounts/wechat",
    "accounts/data",
    "accounts/data/export",
    "accounts/data/export/drop",
    "accounts/delete",
    "accounts/minors",
    "accounts/consent",
    "accounts/low-balance",
    "statement",
    "statement.csv",
    "first-steps",
    "conversations",
    "conversations/find",
    "conversations/export",
    "conversations/delete",
    "recharge",
    "recharge/payer",
    "recharge/redeem",
    "recharge/orders",
    "chat",
    "keys",
    "usage",
    "usage.csv",
]
_OWN_PAGES = [
    "accounts/devices/<int:pk>/end",
    "accounts/tokens/<int:pk>/end",
    "accounts/passkeys/<int:pk>",
    "accounts/data/export/fetch",
    "recharge/orders/<str:order_no>",
    "recharge/orders/<str:order_no>/card",
    "recharge/orders/<str:order_no>/cancel",
    "recharge/orders/<str:order_no>/receipt",
    "recharge/orders/<str:order_no>/open",
    "chat/<str:session_id>",
    "chat/<str:session_id>/rename",
    "chat/<str:session_id>/pin",
    "chat/<str:session_id>/setting",
    "chat/<str:session_id>/export",
    "chat/<str:session_id>/again/<str:message_id>",
    "chat/<str:session_id>/delete",
    "keys/<int:key_id>",
    "keys/<int:key_id>/revoke",
]
_API = [
    "api/user/self",
    "api/user/consent",
    "api/user/export",
    "api/user/deletion",
    "api/user/statement",
    "api/user/statement/periods",
    "api/share",
    "api/auth/wx-bind",
    "api/user/wechat/pay",
    "api/user/alipay/pay",
    "api/user/amount",
    "api/user/topup",
    "api/user/topup/info",
    "api/user/topup/orders",
    "api/files/upload",
    "api/files",
    "api/chat/message",
    "api/chat/stream",
    "api/chat/stop",
    "api/chat/sessions",
    "api/chat/search",
    "api/chat/export",
    "api/chat/models",
    "api/voice/transcribe",
    "api/voice/speech",
    "api/user/keys",
    "api/user/usage",
    "api/user/usage/summary",
]
_OWN_API = [
    "api/user/export/link",
    "api/user/topup/orders/<str:order_no>",
    "api/files/<path:path>",
    "api/chat/sessions/<str:session_id>",
    "api/chat/sessions/<str:session_id>/messages",
    "api/chat/sessions/<str:session_id>/export",
    "api/chat/messages/<str:message_id>",
    "api/chat/messages/<str:message_id>/events",
    "api/user/keys/<int:key_id>",
    "api/share/<str:share_id>",
]
_NOTICES = (
    "api/wechat/notify", "api/wechat/webhook", "api/wechat/refund-notify", "api/alipay/notify", "api/alipay/webhook",
    r"^/*api/+wechat/+(?:notify|webhook|refund-notify)/*\Z", r"^/*api/+alipay/+(?:notify|webhook)/*\Z",
)  # fmt: skip
LINES = (
    Line("", nobody=LET_IN),
    *(Line(route, nobody=LET_IN) for route in _PUBLIC),
    *(Line(route, nobody=SIGN_IN) for route in _PAGES),
    *(Line(route, nobody=SIGN_IN, others=MISSING) for route in _OWN_PAGES),
    *(Line(route, nobody=UNAUTHORIZED) for route in _API),
    *(Line(route, nobody=UNAUTHORIZED, others=MISSING) for route in _OWN_API),
    # Whoever cannot sign is nobody, whoever he is.
    *(Line(route, REFUSED, REFUSED, REFUSED) for route in _NOTICES),
    Line("api/auth/login", REFUSED, REFUSED, REFUSED),
    Line("api/auth/wx-login", REFUSED, REFUSED, REFUSED),
    Line("accounts/code", nobody=SIGN_IN),
    # A passkey's signature, or WeChat's code with the state of the session's own question: none is given here.
    Line("accounts/wechat/start", nobody=NOT_SET_UP),
    Line("accounts/passkeys/sign-in", REFUSED, REFUSED, REFUSED),
    Line("accounts/wechat/back", REFUSED, REFUSED, REFUSED),
    # The signature in the address is the right; none is given here.
    Line("files/<path:path>", FORBIDDEN, FORBIDDEN, FORBIDDEN),
    Line("exports/<path:path>", FORBIDDEN, FORBIDDEN, FORBIDDEN),
    Line("api/option", UNAUTHORIZED, FORBIDDEN, FORBIDDEN, but=(FINANCE, READ_ONLY, BOSS)),
    # For whoever sends METRICS_TOKEN; nobody else is told that it is there.
    Line("metrics", MISSING, MISSING, MISSING),
)

# --- The admin -------------------------------------------------------------------------------------------------------
# What can be done to a model's rows beside looking at them, given the permission: add, change, delete. Whatever is not
# here can only be looked at, whatever one's permissions.
CAN = {
    "accounts.legaltext": "add",  # the one there is in force, and stays
    "accounts.miniprogramsettings": "change",
    "accounts.sitesettings": "change",
    "accounts.websitesettings": "change",
    "accounts.user": "add change",  # deleting: only who has left no trace
    "auth.group": "superuser",
    "llm.alias": "add change delete",
    "llm.credential": "add change delete",
    "llm.model": "add change delete",
    "llm.safetysettings": "change",
    "llm.safetyword": "add change delete",
    "notifications.channel": "add change delete",
    "notifications.rule": "change",
    "storage_backends.bucket": "add change",
    "storage_backends.retention": "change",
    "topup.alipaysettings": "change",
    "topup.codebatch": "add",
    "topup.rechargesettings": "change",
    "topup.wechatsettings": "change",
    "wallet.walletsettings": "change",
}
# Pages for every operator.
STAFF = (
    "admin/", "admin/find/", "admin/search/", "admin/jsi18n/", "admin/password_change/", "admin/password_change/done/",
    r"admin/^(?P<app_label>accounts|admin|auth|wallet|notifications|topup|storage_backends|llm)/$",
    r"admin/(?P<url>.*)$",
    "admin/r/<path:content_type_id>/<path:object_id>/", "admin/autocomplete/",
)  # fmt: skip
# Below a model's list: what GET and POST need. "see": the permission to view or to change.
SEE, ADD, CHANGE, DELETE, ANY_STAFF, NEVER = "see", "add", "change", "delete", "any operator", "never"
ANOTHERS = "see, and it is somebody else's"
BELOW = {
    "": (SEE, SEE),
    "export.csv": (SEE, SEE),
    "add/": (ADD, ADD),
    "<path:object_id>/change/": (SEE, CHANGE),
    "<path:object_id>/delete/": (DELETE, DELETE),
    "<path:object_id>/history/": (SEE, SEE),
    "<path:object_id>/": (ANY_STAFF, ANY_STAFF),  # leads to the change page
    "<path:object_id>/do/<slug:name>/": (WRONG_METHOD, NEVER),  # the visitors press a button that is not there
    "views/": (WRONG_METHOD, SEE),
    "views/<int:pk>/delete/": (WRONG_METHOD, ANOTHERS),
}
# Pages of their own: permissions that all are needed for GET and for POST.
SPECIAL = {
    "accounts/user/<id>/password/": ("accounts.change_user", "accounts.change_user"),
    "accounts/user/<path:object_id>/note/": (WRONG_METHOD, "accounts.add_usernote see"),
    "accounts/secretrotation/": ("see", BOSS),  # begins one
    "accounts/secretrotation/<path:object_id>/change/": ("see", "see"),  # leads to the list
    "notifications/jobrun/<path:object_id>/change/": ("see", "see"),  # leads to the list
    "notifications/jobrun/": ("see", WRONG_METHOD),  # has no form
    "notifications/rule/": ("see", "change"),
    "accounts/miniprogramsettings/test/": (WRONG_METHOD, "change"),
    "accounts/websitesettings/test/": (WRONG_METHOD, "change"),
    "wallet/wallet/<path:object_id>/adjust/": ("wallet.add_adjustment see", "wallet.add_adjustment see"),
    "topup/codebatch/<int:key>/codes.csv": (NEVER, "topup.add_codebatch"),
    "topup/order/statistics/": ("see", "see"),
    "topup/order/statistics.csv": ("see", "see"),
    "topup/order/<path:object_id>/complete/": (BOSS, BOSS),
    "topup/order/<path:object_id>/refund/": (WRONG_METHOD, "topup.change_order topup.add_refund"),
    "topup/order/ask-payment/": (WRONG_METHOD, "topup.change_order"),
    "topup/reconciliation/ask/": (WRONG_METHOD, "topup.change_reconciliation"),
    "topup/rechargesettings/test/": (WRONG_METHOD, "change"),
    "topup/wechatsettings/accounts/<int:pk>/delete/": (WRONG_METHOD, "change"),
    "topup/wechatsettings/test/": (WRONG_METHOD, "change"),
    "topup/alipaysettings/accounts/<int:pk>/delete/": (WRONG_METHOD, "change"),
    "topup/alipaysettings/test/": (WRONG_METHOD, "change"),
    "storage_backends/archive/<int:pk>/download/": ("see", "see"),
    "storage_backends/bucket/test/": (WRONG_METHOD, "add"),
    "storage_backends/bucket/<int:pk>/test/": (WRONG_METHOD, "change"),
    "llm/credential/test/": (WRONG_METHOD, "add"),
    "llm/credential/<int:pk>/test/": (WRONG_METHOD, "change"),
    "llm/model/price/": (WRONG_METHOD, "change"),
    "llm/model/compare/": ("change", "change"),
    "llm/model/router/": ("see", "see"),
    "llm/usage/statistics/": ("see", "see"),
    "llm/usage/spenders/": ("see", "see"),
    "llm/usage/spenders.csv": ("see", "see"),
    "llm/safetysettings/test/": (WRONG_METHOD, "change"),
    "notifications/channel/<int:pk>/test/": (WRONG_METHOD, "change"),
    "notifications/jobrun/<slug:name>/run/": (WRONG_METHOD, "notifications.change_jobrun"),
}
# Mounted where SANDBOX is set, which production refuses.
PLAYTHINGS = re.compile(r"sandbox/")
_ADMIN_ROUTE = re.compile(r"admin/(?P<app>\w+)/(?P<model>\w+)/(?P<rest>.*)")


def line_of(route: str) -> Line | None:
    return next((line for line in LINES if line.route == route), None)


def needs_of(route: str) -> tuple[str, str, str] | None:
    """The model of an admin page ("topup.order") and what its GET and its POST need."""
    found = _ADMIN_ROUTE.fullmatch(route)
    if found is None or route in STAFF:
        return None
    app, model, rest = found["app"], found["model"], found["rest"]
    needs = SPECIAL.get(f"{app}/{model}/{rest}") or BELOW.get(rest)
    return (f"{app}.{model}", *needs) if needs else None
