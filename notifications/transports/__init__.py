"""The transports, one protocol and one file each.

A new one is a file here, a line in TRANSPORTS, a builder in channels.py, a form in admin/forms.py and a kind in
models.py.
"""

from .base import Message, RecipientRefused, Sent, Transport, TransportError
from .dingtalk import DingTalk
from .email import Email
from .sms_aliyun import AliyunSMS
from .sms_tencent import TencentSMS

TRANSPORTS: dict[str, type[Transport]] = {
    "dingtalk": DingTalk,
    "email": Email,
    "sms_aliyun": AliyunSMS,
    "sms_tencent": TencentSMS,
}
