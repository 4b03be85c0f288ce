"""What a gateway raises."""

from typing import ClassVar


class GatewayError(Exception):
    """Base of everything a gateway raises. `str()` is fit for an operator: it says what is wrong and how to mend it."""

    # What the log of calls says of a call that ended so.
    outcome: ClassVar[str] = "unknown"


class NotConfigured(GatewayError):
    """The configuration cannot work (missing, malformed); raised by the constructor, before anything is sent."""


class NotSupported(GatewayError):
    """This gateway cannot do what was asked, whatever its configuration."""

    outcome = "refused"


class Refused(GatewayError):
    """The provider said no, for good; sending the same again cannot help. `code` is the provider's own."""

    outcome = "refused"

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class NumberTaken(Refused):
    """The provider knows this order number already, perhaps as a paid one: query it before giving it up."""


class Unknown(GatewayError):
    """No trustworthy answer: a time-out, a broken, unsigned or wrongly signed one. The request may have worked:
    ask again with the same number."""


class Unsigned(Unknown):
    """An answer nobody signed, as complaints about a request often are. `said` is for people, not to act on."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The gateway answered without a signature: {said}")
        self.said = said


class WronglySigned(Unknown):
    """An answer whose signature is not the provider's, as far as our keys can tell."""


class Retryable(Unknown):
    """The provider says it is busy, or cannot have seen the request: send the same again, with the same number."""

    outcome = "retryable"


class NoticeRefused(GatewayError):
    """A notice that must not be believed."""


class Malformed(NoticeRefused):
    """The bytes are not what the protocol allows."""


class Implausible(Malformed):
    """Validly signed, and yet its amount or numbers are not what the protocol allows. Somebody should look at it."""


class BadSignature(NoticeRefused):
    """The signature is missing or wrong."""


class SignatureTried(BadSignature):
    """The provider itself signed wrongly, to see whether we look: refused like any other, and no cause for alarm."""


class WrongRecipient(NoticeRefused):
    """Validly signed, but for another app or merchant than ours."""
