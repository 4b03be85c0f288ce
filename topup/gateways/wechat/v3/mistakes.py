"""What WeChat Pay says of the commonest mistakes of a configuration, and how each is mended."""

from django.utils.translation import gettext_lazy as _

KNOWN_MISTAKES = (
    (
        "timestamp",
        _("This server's clock is wrong: compare the two times below, and synchronise it (NTP)."),
    ),
    (
        "证书序列号有误",
        _(
            "The certificate is not this merchant's present one. Copy apiclient_cert.pem and apiclient_key.pem once"
            " more, and check the merchant number."
        ),
    ),
    (
        "证书已过期|证书已作废|已更换证书",
        _("The merchant's certificate is no longer good. Apply for a new one (account centre, API security)."),
    ),
    (
        "未设置APIv3密钥",
        _("No APIv3 key is set at WeChat Pay. Set one (account centre, API security) and enter the same here."),
    ),
    ("未申请过证书", _("This merchant has no API certificate. Apply for one (account centre, API security).")),
    (
        "Authorization",
        _("The header Authorization did not arrive: something between this server and WeChat Pay changes requests."),
    ),
    (
        "签名错误|验签失败",
        _("The private key does not belong to the certificate's serial number. Copy both files of one download."),
    ),
    (
        "does not open it",
        _("The APIv3 key is not the one set at WeChat Pay (account centre, API security). Enter it once more."),
    ),
    (
        "signed with '(?!PUB)",
        _(
            "WeChat Pay still signs with a platform certificate. Press “start the switch to the public key” in its"
            " console, or add the platform certificate here meanwhile."
        ),
    ),
    ("signed with 'PUB", _("WeChat Pay's public key has another id. Copy the id and the key once more.")),
    ("500: 未知错误|SYSTEM_ERROR: 未知错误", _("The public key's id may be another merchant's. Copy it once more.")),
    (
        "The signature is not that of the key",
        _("This is not WeChat Pay's public key of this id. Paste pub_key.pem, shown beside the id."),
    ),
    (
        "without a signature",
        _("Something between this server and WeChat Pay answers in its place, or removes the headers Wechatpay-…."),
    ),
    (
        "APPID_MCHID_NOT_MATCH|appid和mch_?id",
        _("The app id is not bound to this merchant number. Bind it at WeChat Pay (product centre, app ids)."),
    ),
    (
        "MCH_NOT_EXISTS|mchid",
        _("WeChat Pay does not know this merchant number. Copy it once more."),
    ),
    ("appid和openid不匹配", _("The buyer signed in under another app id. He must sign in again.")),
    ("收款功能已被限制", _("This merchant may not receive money just now. WeChat Pay's merchant assistant says why.")),
    ("异常IP|IP地址", _("This server's address is not on the list of those that may refund. Add it at WeChat Pay.")),
    (
        "NO_AUTH",
        _("The product is not enabled for this merchant. Native, JSAPI and H5 payment are applied for one by one."),
    ),
    (
        "OUT_TRADE_NO_USED",
        _("This order number was used before, perhaps through API v2. A new order has another."),
    ),
    ("HTTP status 40[45]", _("The gateway's address is wrong. Leave it empty for the real one.")),
)
