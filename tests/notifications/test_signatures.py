"""Signatures against the vendors' own published examples."""

from datetime import UTC, datetime

from notifications.transports import dingtalk, sms_aliyun, sms_tencent


def test_aliyun_signs_as_its_documentation_does() -> None:
    """https://help.aliyun.com/document_detail/2593177.html, "fixed parameters"."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    signed = sms_aliyun.authorization(
        "YourAccessKeyId", "YourAccessKeySecret", method="POST", query=query, headers=headers, body=b""
    )
    assert signed == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_aliyun_escapes_like_rfc_3986() -> None:
    assert sms_aliyun.encode(" ~*+/中") == "%20~%2A%2B%2F%E4%B8%AD"


def test_tencent_signs_as_its_documentation_does() -> None:
    """https://cloud.tencent.com/document/api/213/30654, "TC3-HMAC-SHA256"."""
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    signed = sms_tencent.authorization(
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        service="cvm",
        host="cvm.tencentcloudapi.com",
        body=body,
        timestamp=1551113065,
    )
    assert signed == (
        "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, "
        "SignedHeaders=content-type;host, "
        "Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def test_dingtalk_signs_timestamp_line_break_secret() -> None:
    """DingTalk publishes no example with its result. `printf '1700000000000\\nSECtest' | openssl dgst -sha256 -hmac
    SECtest -binary | base64` gives this one."""
    assert dingtalk.sign("SECtest", 1700000000000) == "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g="


def test_dingtalk_quotes_the_signature_for_the_query() -> None:
    robot = dingtalk.DingTalk("token", "SECtest", now=lambda: datetime.fromtimestamp(1700000000, UTC))
    url = robot._url()
    assert url.startswith("https://oapi.dingtalk.com/robot/send?access_token=token&timestamp=1700000000000&sign=")
    assert not set(url.rpartition("sign=")[2]) & set("+/=")
