"""The Django app of the stand-ins."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """Installed only when settings.SANDBOX is True."""

    name = "sandbox"
    label = "sandbox"
