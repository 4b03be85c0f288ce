"""What operators see of alerts: the list with what became of each, the channels, the rules; and the jobs."""

from . import alerts, channels, jobs, rules
