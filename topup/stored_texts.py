"""What the rows keep in English of a notice, a call or a bill, in the reader's language.

Services and gateways say it once, as it happens; whoever reads it later may speak another language. The sentences stand
here, and those of one gateway with it, as their patterns: {} is whatever a sentence named.
tests/topup/test_stored_texts.py finds those that are missing.
"""

from django.utils.translation import gettext_noop as _

from voicehelper.rewording import reworded

from .gateways import GATEWAYS

PATTERNS = (
    _("A surplus payment that has been given back or settled."),
    _("An error inside; see the log."),
    _("Completed by hand before; this is its payment."),
    _("Failed here, and refunded at the provider after all: the user kept the quota."),
    _("More than {} bytes."),
    _("No order {}."),
    _("Our API key does not open the notice."),
    _("Paid again with transaction {}: this surplus payment must be given back."),
    _("Refund {}"),
    _("Refund {} of {} fen at the provider does not fit the order."),
    _("Refunded at the provider, never credited here."),
    _("The currency is {}, not CNY."),
    _("The notice does not say return_code SUCCESS."),
    _("The notice holds no resource."),
    _("The notice is about a refund, and holds something else."),
    _("The notice is empty, or has a parameter twice."),
    _("The notice is for {}."),
    _("The notice is for {} / {}."),
    _("The notice is in {}, which is not read."),
    _("The notice is not WeChat Pay's JSON: {}."),
    _("The notice is not WeChat Pay's XML: {}"),
    _("The notice is not a form."),
    _("The notice is not a form in {}."),
    _("The notice is not signed by WeChat Pay. {}"),
    _("The notice is not signed with our API key."),
    _("The notice names a certificate that could not be fetched. {}"),
    _("The notice says that somebody paid, and holds something else."),
    _("The provider did not confirm the payment in time."),
    _("The provider gave no certain answer about the refund."),
    _("The provider speaks of {} fen, agreed were {}."),
    _(
        "This is XML of API v2, though the account speaks v3: a refund made in WeChat Pay's console, for example. The"
        " refund is found by its query, or in the bill."
    ),
    _(
        "This is a notice of API v3, and no account here has the APIv3 key that opens it: set WeChat Pay up for v3, or"
        " look in its console which address this merchant's notices are sent to."
    ),
    _("Transaction {} was used for another order."),
    _("WeChat Pay signed it, and our APIv3 key does not open it: enter the APIv3 key once more."),
    _("WeChat Pay tried whether signatures are checked; the genuine notice follows."),
    _("What our key opens is not WeChat Pay's XML: {}"),
    _("What the notice holds is not WeChat Pay's JSON: {}."),
    _("{} Does a proxy in front of this server remove them?"),
    _("{} is {}, agreed was {}"),
    _("amount in fen"),
    _("app id"),
    _("amount.total {} is not an amount in fen."),
    _("out_biz_no {} is not one."),
    _("out_refund_no {} is not one."),
    _("out_trade_no {} is not one of ours."),
    _("refund_amount: {}"),
    _("refund_fee: {}"),
    _("total_amount is zero."),
    _("total_amount: {}"),
    _("total_fee {} is not an amount in fen."),
    _("trade_no {} is not one."),
    _("transaction_id {} is not one."),
    _("The gateway answered with HTTP status {}."),
    _("The gateway answered with HTTP status {}. {}"),
    _("The gateway answered with HTTP status {} and no code of WeChat Pay's."),
    _("The gateway answered without a signature: {}"),
    _("The keys of {} are not known any more."),
    _("The platform answered with an odd address to pay at, which is shown to nobody."),
    _("The platform certificates are not signed as they should be. {}"),
    _("The platform certificates cannot be used: {}."),
    _("The platform certificates were refused: {}"),
    _("There is no time left to ask."),
    _("WeChat Pay answered about another order."),
    _("WeChat Pay answered about another payment."),
    _("WeChat Pay answered about another refund."),
    _("WeChat Pay answered for {} / {}."),
    _("WeChat Pay counts {} refunds and lists {}."),
    _("WeChat Pay cannot give the bill just now: {}"),
    _("WeChat Pay gives no bill: {}."),
    _("WeChat Pay gives no file for its own address: {}"),
    _("WeChat Pay has accepted the request and not carried it out yet."),
    _("WeChat Pay v3 lists no refunds of {}: ask with their numbers, or read the bill."),
    _("WeChat Pay's answer comes without a signature: somebody else's, or a proxy removed it."),
    _("WeChat Pay's answer holds no {}."),
    _("WeChat Pay's answer is not its JSON: {}."),
    _("WeChat Pay's answer is not its XML: {}"),
    _("WeChat Pay's answer is not signed with our API key."),
    _("WeChat Pay's refund_status {}, or what stands beside it, is not known."),
    _("WeChat Pay's status {}, or what stands beside it, is not known."),
    _("WeChat Pay's trade_state {} is not known."),
    _("{}WeChat Pay's answer is not signed as it should be. {}"),
    _("{} cannot be asked by its own number: {}"),
    _("{} fetches no certificates."),
    _("{} has no payment inside an app."),
    _("A row about {} says {}, which has the wrong sign"),
    _("It has no transaction number or no kind"),
    _("It has no transaction number or no state"),
    _("It has {} values for {} columns"),
    _("Its {} values fit the {} columns in more than one way"),
    _("{} says that it was nothing"),
    _("{} says {}, which has the wrong sign"),
    _("{} says {}, which is not a number"),
    _("{} says {}, which is not a time"),
    _("{} says {}, which is not a whole number of fen"),
)


def patterns() -> list[str]:
    """Those of all gateways, and what each says besides."""
    return [*PATTERNS, *(each for gateway in GATEWAYS.values() for each in gateway.sentences)]


def in_words(text: str) -> str:
    """A text that a row keeps; as it is where no pattern knows it."""
    return reworded(text, patterns())
