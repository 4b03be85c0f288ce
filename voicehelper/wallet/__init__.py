"""Balances, entries and holds: the only code that changes a balance.

Owns: Wallet, Entry, Hold, and `manage.py audit`. May import: accounts, voicehelper's own modules.
"""
