"""Admission: from an accepted connection to an account and a set of permissions.

What each module decides, in the order a connection meets them:

- `directory`    who may connect at all, compiled from the options into one immutable value;
- `info`         the INFO line that greets a connection; `advertising` the addresses in it; `nonces` its challenge;
- `hello`        CONNECT read into a value;
- `decision`     the verdict on it: `verdict.Admitted`, `verdict.Refused`, or `verdict.CheckPassword`;
- `recheck`      what a reload means for a connection that was admitted before.

Everything here is a function of its arguments: no sockets, no clock, no randomness. Nothing is re-exported, so that
importing one module loads only what it needs. What peers read comes from `services.shared.wire.errors`.

Absent on purpose: JWTs and auth callout. Their configuration is refused until they are built, so no
connection can reach a rule that is missing.
"""
