"""What `--help` and `--help_tls` print. Facts about flags live in `flags`; a test holds both to the same list."""

from __future__ import annotations

from typing import Final

USAGE: Final = """
Usage: nats-server [flags]

One dash or two, `-flag value` or `-flag=value`; a flag beats the configuration file.

Server:
    -a, --addr, --net HOST           Listen for clients on this host (0.0.0.0)
    -p, --port PORT                  Listen for clients on this port (4222; -1 takes a free one)
    -n, --name, --server_name NAME   Name of the server (its id)
    -P, --pid FILE                   Write the process id to this file
    -m, --http_port PORT             Serve monitoring over HTTP on this port
    -ms, --https_port PORT           Serve monitoring over HTTPS on this port
    -c, --config FILE                Read this configuration file
    -t                               Check the configuration file and exit
    -sl, --signal COMMAND[=PID]      Signal a running server: ldm, stop, quit, term, reopen or reload.
                                     PID is a process id, the first digits of some with *, or a file with one
        --client_advertise ADDRESS   Address that clients are told instead of the own one
        --ports_file_dir DIR         Write the ports in use to a file in this directory

Logging:
    -l, --log FILE                   Write the log to this file
    -T, --logtime                    Begin lines with the time (true)
        --logtime_utc                Write times in UTC
    -s, --syslog                     Log to the syslog
    -r, --remote_syslog ADDRESS      Log to this syslog server, such as udp://localhost:514
    -D, --debug                      Log debug lines
    -V, --trace                      Log the protocol
    -VV                              Log the protocol, the system account included
    -DV                              -D and -V
    -DVV                             -D and -VV
        --log_size_limit BYTES       Begin a new log file at this size
        --max_traced_msg_len BYTES   Log only so much of a message

JetStream:
    -js, --jetstream                 Serve streams (not supported yet)
    -sd, --store_dir DIR             Where streams are kept (there are none yet)

Authorization:
        --user USER                  User that clients must give
        --pass PASSWORD              Password that clients must give
        --auth TOKEN                 Token that clients must give

TLS:
        --tls                        Serve TLS; =false switches a configured one off
        --tlscert FILE               Certificate of the server
        --tlskey FILE                Key of the certificate
        --tlsverify                  Serve TLS and demand certificates of clients
        --tlscacert FILE             CA that client certificates are checked against

Cluster (not supported yet):
        --routes URL,...             Routes to dial
        --cluster URL                Listen for routes
        --cluster_listen URL         The same
        --cluster_name NAME          Name of the cluster
        --cluster_advertise ADDRESS  Address that other servers are told
        --no_advertise               Do not tell clients about other servers
        --connect_retries NUMBER     Attempts to reach servers that others told of

Profiling (not supported yet):
        --profile PORT               Serve profiles on this port

Common:
    -h, --help                       Print this text
    -v, --version                    Print the version
        --help_tls                   Print help on TLS

"""

_TLS_HEAD: Final = """
TLS is configured in a `tls` block of the configuration file:

    tls {
        cert_file: "server-cert.pem"
        key_file: "server-key.pem"
        ca_file: "ca.pem"          # whose client certificates are trusted
        verify: true               # demand a client certificate
        verify_and_map: true       # and take the user from it
        min_version: "1.3"         # or "1.2"
        timeout: 2                 # seconds for the handshake
        handshake_first: auto      # or true, false, a time to wait such as "300ms"
        cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        curve_preferences: ["X25519", "CurveP256"]
        pinned_certs: ["<sha256 of a client's public key>"]
    }

Cipher suites; those marked with * also need `allow_insecure_cipher_suites: true`:
"""


def tls_help() -> str:
    """The help on TLS, with every name that the `tls` block accepts."""
    from services.shared.config.schema_tls import CIPHER_SUITES, CURVES, INSECURE_CIPHER_SUITES

    suites = [*sorted(CIPHER_SUITES), *(f"{name} *" for name in sorted(INSECURE_CIPHER_SUITES))]
    listed = "".join(f"    {name}\n" for name in suites)
    curves = "".join(f"    {name}\n" for name in sorted(CURVES))
    return f"{_TLS_HEAD}{listed}\nCurves:\n{curves}"
