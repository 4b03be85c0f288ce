"""What operators must know: alerts, written beside the change that caused them.

Owns: Alert. May import: voicehelper.accounts, voicehelper's own modules. Any app may call `services.raise_alert`.
"""
