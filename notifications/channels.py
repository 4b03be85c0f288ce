"""A channel's row, made into the transport that speaks its protocol."""

from collections.abc import Callable
from typing import Any

from django.conf import settings

from voicehelper.secrets import SecretUnreadable

from .models import Channel
from .transports import AliyunSMS, DingTalk, Email, TencentSMS, Transport, TransportError
from .transports.base import SMSText
from .transports.dingtalk import token_of


def open_transport(channel: Channel) -> Transport:
    """Raises TransportError when the row does not make one: nothing was entered, or a secret cannot be read."""
    try:
        return _BUILDERS[channel.kind](channel, channel.options)
    except KeyError as error:
        raise TransportError(f"The channel’s settings are not complete: {error}", permanent=True) from None
    except SecretUnreadable as error:
        raise TransportError(str(error), permanent=True) from None


def _dingtalk(channel: Channel, options: dict[str, Any]) -> Transport:
    return DingTalk(
        token=token_of(channel.webhook.reveal()),
        secret=channel.secret.reveal(),
        mobiles=tuple(options.get("mobiles", ())),
        **_where(settings.DINGTALK_BASE_URL),
    )


def _email(channel: Channel, options: dict[str, Any]) -> Transport:
    host = options["host"]
    return Email(
        host=host,
        port=options["port"],
        security=options["security"],
        sender=options["sender"],
        sender_name=options.get("sender_name", ""),
        recipients=tuple(options["recipients"]),
        username=options.get("username", ""),
        password=channel.secret.reveal(),
        private=host.lower() in (name.lower() for name in settings.SMTP_PRIVATE_HOSTS),
    )


def _aliyun(channel: Channel, options: dict[str, Any]) -> Transport:
    return AliyunSMS(**_sms(channel, options), **_where(settings.ALIYUN_SMS_URL))


def _tencent(channel: Channel, options: dict[str, Any]) -> Transport:
    own = {"sdk_app_id": options["sdk_app_id"], "region": options["region"]}
    return TencentSMS(**_sms(channel, options), **own, **_where(settings.TENCENT_SMS_URL))


def _sms(channel: Channel, options: dict[str, Any]) -> dict[str, Any]:
    """What both vendors want to know."""
    return {
        "key_id": options["key_id"],
        "key_secret": channel.secret.reveal(),
        "sign_name": options["sign_name"],
        "template": options["template"],
        "phones": tuple(options["phones"]),
        "text": SMSText(tuple((name, pattern) for name, pattern in options["patterns"]), options["most"]),
    }


def _where(url: str) -> dict[str, Any]:
    """The deployer's address, which is trusted; unset: the transport's own."""
    return {"base_url": url.rstrip("/"), "trusted": True} if url else {}


_BUILDERS: dict[str, Callable[[Channel, dict[str, Any]], Transport]] = {
    "dingtalk": _dingtalk,
    "email": _email,
    "sms_aliyun": _aliyun,
    "sms_tencent": _tencent,
}
