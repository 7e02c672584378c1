"""Why the engine does what it does: accounts, permissions and limits, compiled into its rules.

The control plane knows names and reasons, the engine numbers and tables. Everything here translates one way.
"""
