"""What operators see of alerts: the list with what became of each, the channels, the rules."""

from . import alerts, channels, rules
