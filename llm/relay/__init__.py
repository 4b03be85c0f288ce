"""The hot path, from a question to its settled answer, without a Django request in it.

router orders the candidates, attempts tries them, call holds, captures and releases; snapshot and engine keep what
one process knows.
"""
