"""Real PostgreSQL and Valkey servers, and the whole demo, started from a checkout with nothing but Python.

Owns what `make run` and `make test` start: `python -m voicehelper.embedded run | exec`, in the checkout's folder.
Imports no Django: it runs before settings can exist, and hands Django what it found out (addresses, keys, mode) through
the environment. Linux only, as the product is. Read keeper.py first: it is why nothing is left behind.
"""
