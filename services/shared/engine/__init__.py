"""The one door to the native engine. Nothing else imports `_native`.

The edge is batch-only and pull-only: rules and sockets go down, events come up when the control plane asks for them.
"""
