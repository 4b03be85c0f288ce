"""The operator's pages of recharging: settings, orders, notices, calls, and the front page of the admin.

Presentation only: pages read rows, buttons call one service and report.
"""

from . import codes, differences, notices, orders, reconciliation, refunds, settings, single_codes
