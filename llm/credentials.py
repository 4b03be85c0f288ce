"""Accounts at providers that the environment names: made on first start, kept as the environment has them."""

from django.conf import settings
from django.db import IntegrityError

from voicehelper.secrets import Secret

from .models import Credential
from .providers import PROVIDERS


def ensure_environment_credentials() -> int:
    """Make or bring up to date one credential per provider whose key the environment holds; returns how many changed.

    Such an address is trusted, loopback included. What operators set besides (time-out, tries, whether it is enabled)
    stays as it is.
    """
    changed = 0
    for provider, (key, base_url) in settings.LLM_ACCOUNTS.items():
        if key:
            changed += _ensure(provider, Secret(key), base_url or PROVIDERS[provider].default_base_url)
    return changed


def _ensure(provider: str, key: Secret, base_url: str) -> bool:
    row = Credential.objects.filter(provider=provider, from_environment=True).first()
    if row is None:
        try:
            Credential.objects.create(
                name=f"{provider} (environment)"[:64],
                provider=provider,
                base_url=base_url,
                api_key=key,  # type: ignore[misc]  # a Secret, see EncryptedField
                from_environment=True,
            )
        except IntegrityError:
            # Another process was first.
            return False
        return True
    if (row.api_key, row.base_url) == (key, base_url):
        return False
    Credential.objects.filter(pk=row.pk).update(api_key=key, base_url=base_url)
    return True
