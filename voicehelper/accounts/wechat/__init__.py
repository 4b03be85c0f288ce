"""Who somebody is at WeChat: in the mini program, and in its own browser. Plain protocol, without models.

The app secret travels in the address, so no address is ever shown, logged or part of an error.
"""
