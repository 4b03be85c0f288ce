"""`make bench`: what one server process carries on this machine, beside what PostgreSQL itself can write on it.

Payment notices settled, and orders placed, per second, through the whole HTTP stack. A machine's speed says little, so
each stands beside pgbench doing the same writes on the same server in the same run: the ratio counts. Calls of models
(relay.py) stand beside a bare pass-through.
"""
