"""A third gateway that exists in the tests only: an imaginary bank that speaks signed JSON.

`gateway.py` is what a folder in topup/gateways would hold, `section.py` the settings section, `bank.py` the far side.
"""
