"""The process manager: it follows the events and does, durably, what they call for.

``operations`` turns events into rows to be worked off, ``worker`` works them off, ``performing``
calls branch services, ``alerting`` delivers alerts, ``reconciling`` finds lost rows.
"""
