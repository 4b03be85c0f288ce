"""Each order gets its merchant account: the one that the settings hold is active, of others nobody knows the keys."""

import json
from urllib.parse import urlsplit

from django.conf import settings
from django.db import migrations

from voicehelper.secrets import Secret, SecretUnreadable

AT_ONCE = 20_000
ANOTHER_ACCOUNT = "Placed with another merchant account than the one configured now; look at the provider's console."
KEYLESS = (
    "Nobody can be asked: the keys of its merchant account are not known any more. Enter them in the settings again."
)

# One merchant number is one account at WeChat Pay, whatever app; at Alipay an app of a seller is one.
MAKE = """
INSERT INTO topup_merchantaccount (gateway, version, merchant_id, app_id, live, app_ids, active, kept, former, retired_at)
SELECT gateway, CASE gateway WHEN 'wechat' THEN 'v2' ELSE '' END, merchant_id,
       CASE gateway WHEN 'wechat' THEN '' ELSE app_id END, live, jsonb_agg(DISTINCT app_id), false, '', '', now()
FROM topup_order GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO NOTHING
"""
JOIN = """
UPDATE topup_order o SET account_id = a.id FROM topup_merchantaccount a
WHERE o.id > %s AND o.id <= %s AND o.account_id IS NULL
  AND (a.gateway, a.merchant_id, a.live) = (o.gateway, o.merchant_id, o.live) AND a.app_id IN ('', o.app_id)
"""
# What was noted of another account is true only of one without keys.
NOTE = """
UPDATE topup_order o SET review = CASE WHEN a.active THEN '' ELSE %s END
FROM topup_merchantaccount a WHERE a.id = o.account_id AND o.review = %s
"""


def wechat(apps):
    row = apps.get_model("topup", "WeChatSettings").objects.filter(pk=1).first()
    if row is None or not (row.mch_id and row.app_id and row.api_v2_key):
        return None
    mini = apps.get_model("accounts", "MiniProgramSettings").objects.filter(pk=1).first()
    other = [row.app_id, mini.app_id if mini else ""]
    values = {
        "app_id": row.app_id,
        "mch_id": row.mch_id,
        "api_key": row.api_v2_key.reveal(),
        "sign_type": row.sign_type,
        "base_url": settings.WECHAT_PAY_BASE_URL,
        "client_cert": row.client_cert.reveal(),
        "client_key": row.client_key.reveal(),
        "other_app_ids": other,
    }
    host = urlsplit(values["base_url"]).hostname
    live = host in (None, "api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "apihk.mch.weixin.qq.com")
    identity = {"gateway": "wechat", "version": "v2", "live": live, "merchant_id": row.mch_id, "app_id": ""}
    return identity, values, sorted(filter(None, set(other)))


def alipay(apps):
    row = apps.get_model("topup", "AlipaySettings").objects.filter(pk=1).first()
    if row is None or not (row.app_id and row.seller_id and row.private_key and row.public_key):
        return None
    values = {
        "app_id": row.app_id,
        "private_key": row.private_key.reveal(),
        "public_key": row.public_key.reveal(),
        "seller_id": row.seller_id,
        "gateway_url": settings.ALIPAY_GATEWAY_URL,
        "sandbox": row.sandbox,
    }
    host = urlsplit(values["gateway_url"]).hostname
    live = host == "openapi.alipay.com" or (host is None and not row.sandbox)
    identity = {"gateway": "alipay", "version": "", "live": live, "merchant_id": row.seller_id, "app_id": row.app_id}
    return identity, values, [row.app_id]


def activate(apps, section):
    """The account that the settings hold. What no key of ours opens is found out at its first use."""
    try:
        found = section(apps)
    except SecretUnreadable:
        return
    if found is None:
        return
    identity, values, app_ids = found
    accounts = apps.get_model("topup", "MerchantAccount").objects
    if accounts.filter(gateway=identity["gateway"], active=True).exists():
        return
    account, _made = accounts.get_or_create(**identity)
    account.app_ids = sorted({*account.app_ids, *app_ids})
    account.active, account.retired_at, account.kept = True, None, Secret(json.dumps(values))
    account.save()


def forwards(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(MAKE)
        activate(apps, wechat)
        activate(apps, alipay)
        cursor.execute("SELECT coalesce(max(id), 0) FROM topup_order")
        last = cursor.fetchone()[0]
        for start in range(0, last, AT_ONCE):
            cursor.execute(JOIN, [start, start + AT_ONCE])
        cursor.execute(NOTE, [KEYLESS, ANOTHER_ACCOUNT])


class Migration(migrations.Migration):
    # In batches, each of which may be made twice: orders go on being placed and paid meanwhile.
    atomic = False

    dependencies = [("topup", "0016_merchant_accounts"), ("accounts", "0006_defaults_for_old_code")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
