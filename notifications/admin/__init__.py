"""What operators see of alerts: the list with what became of each, the channels, the rules."""

from . import alerts, channels, rules

__all__ = ["alerts", "channels", "rules"]
