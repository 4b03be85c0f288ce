"""What an S3 server, or boto3, means: in words an operator can act on."""

from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import NoAnswer

from .base import NoSuchObject, StoreError

_KEY = _("Copy the access key again; it may have been deleted or switched off, or belong to another provider.")
_SECRET = _("Enter the secret again, without spaces; if it stays so, try the other signature version.")
_REGION = _("Enter the region the bucket is in, as the provider’s console writes it.")

# The far side's code → what it means, and how to mend it. OSS and COS use S3's codes for most of these.
_CODES: dict[str, tuple[Any, Any]] = {
    "InvalidAccessKeyId": (_("The access key is unknown there."), _KEY),
    "SignatureDoesNotMatch": (_("The secret does not belong to the access key."), _SECRET),
    "RequestTimeTooSkewed": (
        _("The clocks disagree by more than 15 minutes."),
        _("Set the clock of this server (NTP)."),
    ),
    "NoSuchBucket": (_("There is no such bucket there."), _("Create it in the provider’s console, or mend its name.")),
    "PermanentRedirect": (_("The bucket is in another region."), _REGION),
    "IllegalLocationConstraintException": (_("The bucket is in another region."), _REGION),
    "AuthorizationHeaderMalformed": (_("The region is wrong."), _REGION),
    "SecondLevelDomainForbidden": (
        _("The server wants the bucket in the host name."),
        _("Choose the preset of this provider: it addresses buckets as the provider wants it."),
    ),
    "InvalidBucketName": (_("The bucket’s name is not one this server knows."), _("Mend the bucket’s name.")),
    "AccessDenied": (
        _("The key may not do this."),
        _("Allow it to read, write, list and delete objects in this bucket, and to use multipart uploads."),
    ),
    "SlowDown": (_("The store is overloaded."), _("Try again in a moment.")),
    "UserDisable": (_("The account is overdue or closed."), _("Look into the provider’s console.")),
}
_BY_STATUS = {
    400: (_("The server refuses the request."), _REGION),
    403: _CODES["AccessDenied"],
    404: _CODES["NoSuchBucket"],
}


def explained(error: BotoCoreError | ClientError) -> StoreError:
    """Never holds an address with its query, which may be signed."""
    if isinstance(error, ClientError):
        return _refusal(error)
    cause = error.kwargs.get("error")
    if isinstance(cause, AddressRefused):
        return StoreError(
            _("The address is refused: nothing was sent."),
            _("A server in your own network must be allowed at deployment: S3_PRIVATE_HOSTS."),
            "address_refused",
        )
    if isinstance(error, EndpointConnectionError) or isinstance(cause, NoAnswer):
        reason = gettext(cause.reason) if isinstance(cause, NoAnswer) else type(error).__name__
        return StoreError(
            _("The server cannot be reached: %(reason)s") % {"reason": reason},
            _("Look at the endpoint and the region; is the server up, and reachable from here?"),
            "unreachable",
        )
    if isinstance(error, SSLError):
        return StoreError(
            _("The server’s TLS certificate is not valid for its name."),
            _("Look at the endpoint: a bucket with dots in its name has no valid certificate in front of it."),
            "tls",
        )
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        return StoreError(_("The store did not answer in time."), _("Try again in a moment."), "timeout")
    return StoreError(
        _("The store did not answer as it should: %(what)s.") % {"what": type(error).__name__},
        _("Is this the address of an S3 server?"),
        "protocol",
    )


def _refusal(error: ClientError) -> StoreError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ("NoSuchKey", "NoSuchObject"):
        return NoSuchObject(_("There is no such file."), code=code)
    if code.startswith("InvalidAccessKeyId"):
        code = "InvalidAccessKeyId"
    text, hint = _CODES.get(code) or _BY_STATUS.get(status) or (_("The store refuses: %(code)s.") % {"code": code}, "")
    return StoreError(text, hint, code or str(status))
