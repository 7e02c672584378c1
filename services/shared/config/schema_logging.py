"""The options of logging; they stand at top level (reference: operations 2.1)."""

from __future__ import annotations

from typing import Final

from services.shared.config.reading import Entry, boolean, integer, string, table


def _verbose(entry: Entry) -> dict[str, object]:
    verbose = boolean(entry)
    return {"log.trace_verbose": verbose, "log.trace": verbose}


def _headers(entry: Entry) -> dict[str, object]:
    headers = boolean(entry)
    return {"log.trace_headers": headers, "log.trace": headers}


LOGGING: Final = table(
    ("debug", "log.debug", boolean),
    ("trace", "log.trace", boolean),
    ("trace_verbose", "*", _verbose),
    ("trace_headers", "*", _headers),
    ("logtime", "log.logtime", boolean),
    ("logtime_utc", "log.logtime_utc", boolean),
    ("log_file logfile", "log.log_file", string),
    ("log_size_limit logfile_size_limit", "log.log_size_limit_bytes", integer),
    ("log_max_num logfile_max_num", "log.log_max_num", integer),
    ("syslog", "log.syslog", boolean),
    ("remote_syslog", "log.remote_syslog", string),
    ("max_traced_msg_len", "log.max_traced_msg_len", integer),
)
