"""Django's PostgreSQL backend, which finds out for nothing whether a connection still works (base.py)."""
