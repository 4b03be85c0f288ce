"""Trying an account: one cheap call, and what came of it in words an operator can act on."""

import time

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from voicehelper.net.probe import Probe, nothing_called, since_ms
from voicehelper.secrets import SecretUnreadable

from .. import services
from ..models import Credential, Model
from ..providers import PROVIDERS
from ..providers.base import ADDRESS_REFUSED, ProviderError

# What http_async.py says when no answer came, so that it can be translated.
_REASONS = (
    gettext_noop("No answer within the time limit."),
    gettext_noop("Connecting took too long."),
    gettext_noop("The TLS certificate of the far side is not valid for its name."),
    gettext_noop("The far side does not speak TLS as it should."),
    gettext_noop("The name of the far side cannot be resolved."),
    gettext_noop("The connection was refused."),
    gettext_noop("The connection broke."),
    gettext_noop("The address or a header holds what HTTP does not allow."),
    # And http.py, of an address that operators may not type.
    gettext_noop("The address must start with https://."),
    gettext_noop("The address must be a plain host name, without a user name."),
)
_LATE = ("No answer within the time limit.", "Connecting took too long.")


def default_model_id(provider: str) -> str:
    """The cheapest chat model of a provider, by its id there; empty when there is none."""
    models = Model.objects.filter(provider=provider, capabilities__contains=["chat"]).order_by(
        "-enabled", "cost_per_1k"
    )
    return models.values_list("provider_model_id", flat=True).first() or ""


def try_out(credential: Credential, model_id: str) -> Probe:
    """Call the provider once with a credential, saved or not."""
    if not model_id:
        return nothing_called(_("Say which model to ask for: none of this provider's is known here."))
    provider = PROVIDERS[credential.provider]
    base_url = (credential.base_url.strip() or provider.default_base_url).rstrip("/")
    called = f"POST {base_url}{provider.probe_path} · {model_id}"
    started = time.monotonic_ns()
    try:
        answered = services.probe(credential, model_id)
    except SecretUnreadable as error:
        return nothing_called(_("The stored key cannot be read."), str(error))
    except ProviderError as error:
        message, hint = _diagnosis(error)
        return Probe(False, called, since_ms(started), message, hint, _details(error))
    return Probe(
        True,
        called,
        since_ms(started),
        _("The provider accepted the key, and the model answered."),
        "",
        {_("Model that answered"): answered},
    )


def reason(text: str) -> str:
    """An explanation of http.py or http_async.py in the operator's language; empty when it is none of those known."""
    return _(text) if text in _REASONS else ""


def _diagnosis(error: ProviderError) -> tuple[str, str]:
    """What happened, and how to mend it. The provider's own hint is the better one where it has one."""
    status, hint = error.status, str(error.hint)
    if error.code == ADDRESS_REFUSED:
        return _("The address is refused: nothing was sent."), _(
            "Enter an address of the public Internet. One inside your own network has to come from the environment."
        )
    if status == 0:
        late = _("The provider may be slow or unreachable from here. Try again, or raise the time-out.")
        return reason(error.text) or error.text, (late if error.text in _LATE else hint)
    if error.unpaid:
        return _("The account at the provider is overdue or has no credit."), hint
    known = {
        200: _("Something answered that is not the provider's API."),
        400: _("Key and address are right, but the provider refuses the request."),
        401: _("The provider refuses the key."),
        403: _("The provider forbids this to the account."),
        404: _("The provider does not find the address, or the model."),
        405: _("The provider does not find the address, or the model."),
        429: _("Key and address are right, but the account is over its rate limit now."),
    }
    hints = {
        400: _("Read what the provider says below; another model id may be wanted."),
        403: _("Look in the provider's console whether the model is open to this account and this server's address."),
        429: _("Wait a moment and try again, or ask the provider for a higher limit."),
    }
    if status >= 500:
        return _("The provider itself has trouble."), hint or _("Wait a moment and try again.")
    return known.get(status, _("The provider refuses.")), hint or hints.get(status, "")


def _details(error: ProviderError) -> dict[str, str]:
    """What the provider said, for those who look further."""
    said = {_("status"): str(error.status or ""), _("code"): error.code, _("What it said"): error.text}
    if error.status == 0 and error.code != ADDRESS_REFUSED:
        return {}
    return {name: text for name, text in said.items() if text and text != ADDRESS_REFUSED}
