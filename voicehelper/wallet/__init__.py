"""Balances, entries, holds and adjustments: the only code that changes a balance.

Owns: Wallet, Entry, Hold, Budget, Adjustment, WalletSettings, PriceChange, ClosedPeriod, Checkpoint, DaySum, AuditRun,
and `manage.py audit` (checks.py, periods.py). statements.py has the rules, services.py and batch.py send them,
adjusting.py is for operators, account_statement.py for users, whose page and API it feeds. May import: notifications
and voicehelper's own modules; not accounts, which imports this one for the balance in `userInfo`: a wallet's user is
Django's, whoever that is.
"""
