"""What rows keep of Alipay in English, as patterns: {} is whatever a sentence named (topup/stored_texts.py)."""

from django.utils.translation import gettext_noop as _

SENTENCES = (
    _("The notice is not signed by Alipay with RSA2."),
    _("Alipay answered about another order."),
    _("Alipay answered about another payment."),
    _("Alipay answered about another refund."),
    _("Alipay does not hand it out: {}."),
    _("Alipay lists no refunds of {}: ask with their numbers, or read the bill."),
    _("Alipay's answer does not fit the {}."),
    _("Alipay's answer holds no bill_download_url."),
    _("Alipay's answer holds no qr_code."),
    _("Alipay's answer is not its JSON: {}"),
    _("Alipay's answer names a certificate by what is no number of one."),
    _("Alipay's trade_status {} is not known."),
    _("the answer that brought it is not signed by Alipay."),
    _("what Alipay handed out is no certificate."),
)
