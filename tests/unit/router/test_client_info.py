"""What services of other accounts may know about who asks."""

from __future__ import annotations

from services.router.admission.directory import ConnectionType, Listener
from services.router.admission.hello import Hello
from services.router.client_info import client_info
from services.router.newcomers import Newcomer


def test_members_that_say_nothing_are_left_out() -> None:
    newcomer = Newcomer(
        cid=5, listener=Listener.CLIENT, connection_type=ConnectionType.STANDARD, ip="127.0.0.1", port=1, nonce=b"",
        started_ns=1_000_000_000, hello=Hello(lang="x", name='a"b'),
    )  # fmt: skip
    assert client_info(newcomer, user="u", server_name="N") == (
        b'"start":"1970-01-01T00:00:01Z","host":"127.0.0.1","id":5,',
        b',"user":"u","name":"a\\"b","lang":"x"',
        b',"server":"N","kind":"Client","client_type":"nats"',
    )
    assert client_info(newcomer, user="", server_name="N")[1] == b',"name":"a\\"b","lang":"x"'
