"""What a chat has no room for."""

from ...providers.base import ProviderError, Recovery, Unsupported


class CannotSay(Unsupported):
    """A part of a request that this model's provider cannot be told, and another's may. Nothing was sent."""

    def __init__(self, text: str, param: str, code: str) -> None:
        ProviderError.__init__(self, text, recovery=Recovery.FAILOVER, code=code)
        self.param = param
