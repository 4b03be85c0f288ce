"""`manage.py open_sandbox_accounts`: sign up at the stand-ins, once, and print what a merchant would be given."""

import base64
import json
import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.management.base import BaseCommand

from sandbox import alipay_certificates as certificates
from sandbox.models import GatewayName, Merchant, WeChatApp

NAME = "VoiceHelper"


class Command(BaseCommand):
    """Idempotent: the second run prints the same accounts."""

    help = (
        "Open (or show) a merchant account at each payment stand-in, a mini program and a website app, at the sandbox."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--json prints one JSON object for scripts, --options what the settings of a deployment take of it."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--options", action="store_true", help="print what PUT /api/option takes, an object each")

    def handle(self, *_args: object, **options: object) -> str:
        """Returns what it prints."""
        if options["options"]:
            return json.dumps(as_options())
        accounts = {"wechat": wechat_account(), "alipay": alipay_account(), "mini_program": mini_program()}
        accounts["website"] = website()
        if options["json"]:
            return json.dumps(accounts)
        return "\n".join(f"{name}.{key}: {value}" for name, facts in accounts.items() for key, value in facts.items())


def as_options() -> list[dict[str, object]]:
    """Each account by the names of a deployment's options; the first tells it from others."""
    wechat, alipay, mini, web = wechat_account(), alipay_account(), mini_program(), website()
    return [
        {"MiniProgramAppId": mini["app_id"], "MiniProgramAppSecret": mini["secret"]},
        {"WebsiteAppId": web["app_id"], "WebsiteAppSecret": web["secret"]},
        {
            "WechatMchId": wechat["mch_id"],
            "WechatAppId": wechat["app_id"],
            "WechatAppSecret": wechat["app_secret"],
            "WechatApiV2Key": wechat["api_key"],
            # So that choosing v3 is enough to speak it.
            "WechatClientCert": wechat["client_cert"],
            "WechatClientKey": wechat["client_key"],
            "WechatApiV3Key": wechat["api_v3_key"],
            "WechatPublicKeyId": wechat["public_key_id"],
            "WechatPublicKey": wechat["public_key"],
            "WechatEnabled": True,
        },
        {
            "AlipayAppId": alipay["app_id"],
            "AlipaySellerId": alipay["seller_id"],
            "AlipayPrivateKey": alipay["private_key"],
            "AlipayPublicKey": alipay["public_key"],
            "AlipayEnabled": True,
        },
    ]


def wechat_account() -> dict[str, str]:
    """app_id with its app_secret, mini_app_id, mch_id, api_key (32 characters), client_cert and client_key (PEM); and
    for v3 api_v3_key, public_key_id and public_key (PEM)."""
    merchant, _made = Merchant.objects.get_or_create(
        gateway=GatewayName.WECHAT,
        name=NAME,
        defaults={
            "app_id": f"wx{secrets.token_hex(8)}",
            "merchant_id": f"16{secrets.randbelow(10**8):08d}",
            "api_key": secrets.token_hex(16),
        },
    )
    if not merchant.app_secret:
        new = {"app_secret": secrets.token_hex(16), "other_app_ids": [f"wx{secrets.token_hex(8)}"]}
        Merchant.objects.filter(pk=merchant.pk, app_secret="").update(**new)
    if not merchant.api_v3_key:
        Merchant.objects.filter(pk=merchant.pk, api_v3_key="").update(**v3_account(merchant.merchant_id))
    merchant.refresh_from_db()
    return {
        "app_id": merchant.app_id,
        "app_secret": merchant.app_secret,
        "mini_app_id": merchant.other_app_ids[0],
        "mch_id": merchant.merchant_id,
        "api_key": merchant.api_key,
        "client_cert": merchant.client_certificate,
        "client_key": merchant.client_key,
        "api_v3_key": merchant.api_v3_key,
        "public_key_id": merchant.public_key_id,
        "public_key": merchant.public_key,
    }


def v3_account(merchant_id: str) -> dict[str, str]:
    """The fields of a merchant who speaks v3, among them his certificate: one of before had no RSA key."""
    certificate, key = client_certificate(merchant_id, _key("merchant"))
    platform_certificate, platform_key = client_certificate("Tenpay.com sign", _key("platform"))
    private = _key("WeChat Pay")
    encoding, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return {
        "api_v3_key": secrets.token_hex(16),
        "client_certificate": certificate,
        "client_key": key,
        "public_key_id": f"PUB_KEY_ID_01{merchant_id}{datetime.now(UTC):%Y%m%d}{secrets.randbelow(10**14):014d}",
        "public_key": private.public_key().public_bytes(encoding, spki).decode(),
        "public_key_private": _pem(private),
        "platform_certificate": platform_certificate,
        "platform_key": platform_key,
    }


@lru_cache(maxsize=3)
def _key(_whose: str) -> rsa.RSAPrivateKey:
    """Made once in a process, which opens one account: it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(private: rsa.RSAPrivateKey) -> str:
    shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(*shape).decode()


def alipay_account() -> dict[str, str]:
    """app_id, seller_id, private_key (the app's own, PKCS#8) and public_key (Alipay's, SPKI), both bare base64."""
    merchant = Merchant.objects.filter(gateway=GatewayName.ALIPAY, name=NAME).first() or _open_alipay()
    return {
        "app_id": merchant.app_id,
        "seller_id": merchant.merchant_id,
        "private_key": merchant.app_private_key,
        "public_key": merchant.alipay_public_key,
    }


def alipay_certificates() -> dict[str, str]:
    """app_cert, cert and root_cert (PEM) of the same application, for certificate mode."""
    merchant = certificates.open_papers(Merchant.objects.get(gateway=GatewayName.ALIPAY, name=NAME))
    current = certificates.current(merchant).pem
    return {"app_cert": merchant.app_certificate, "cert": current, "root_cert": certificates.ROOTS}


def _open_alipay() -> Merchant:
    app_private, app_public = key_pair()
    alipay_private, alipay_public = key_pair()
    merchant, _made = Merchant.objects.get_or_create(
        gateway=GatewayName.ALIPAY,
        name=NAME,
        defaults={
            "app_id": f"9021{secrets.randbelow(10**12):012d}",
            "merchant_id": f"2088{secrets.randbelow(10**12):012d}",
            "app_private_key": app_private,
            "app_public_key": app_public,
            "alipay_private_key": alipay_private,
            "alipay_public_key": alipay_public,
        },
    )
    return merchant


def key_pair() -> tuple[str, str]:
    """A fresh 2048-bit RSA pair as bare base64: PKCS#8 and SPKI."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(private).decode(), base64.b64encode(public).decode()


def client_certificate(name: str, key: rsa.RSAPrivateKey) -> tuple[str, str]:
    """A certificate of a merchant, or of WeChat Pay, and its key, PEM, good for five years. It is its own authority."""
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def mini_program() -> dict[str, str]:
    """app_id and secret of a mini program that is bound to the merchant above and to an Open Platform account."""
    app, _made = WeChatApp.objects.get_or_create(
        name=NAME,
        defaults={
            "app_id": wechat_account()["mini_app_id"],
            "secret": secrets.token_hex(16),
            "open_platform": f"wx{secrets.token_hex(8)}",
        },
    )
    return {"app_id": app.app_id, "secret": app.secret}


def website() -> dict[str, str]:
    """app_id and secret of a website app of the same Open Platform account, whose people are the mini program's."""
    mini = mini_program()
    platform = WeChatApp.objects.get(app_id=mini["app_id"]).open_platform
    new = {"app_id": f"wx{secrets.token_hex(8)}", "secret": secrets.token_hex(16), "open_platform": platform}
    app, _made = WeChatApp.objects.get_or_create(name=f"{NAME} web", defaults=new | {"website": True})
    return {"app_id": app.app_id, "secret": app.secret}
