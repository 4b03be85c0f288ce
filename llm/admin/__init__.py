"""The operator's pages of large models: accounts at providers, models and their prices, the router, usage, statistics.

Presentation only: pages read rows, buttons call one service and report.
"""

from . import aliases, credentials, models, safety, sessions, usage
