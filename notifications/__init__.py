"""What operators must know: alerts, written beside the change that caused them, and their way to people.

Owns: Alert, Mute, Channel, Rule, Delivery, Mail, JobRun. Any app calls `services.raise_alert` with an event of
`events.py`. The sweep (`delivery.deliver`) makes deliveries by the rules (`routing`) and sends them through
`transports/`; `jobs` watches the schedule. May import: voicehelper's own modules.
"""
