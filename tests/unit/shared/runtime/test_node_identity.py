"""Every start makes a fresh identity."""

from services.shared.identity.nkeys import KeyKind, decode_public, public_key
from services.shared.runtime.node_identity import make_identity


def test_keys_are_of_the_server_and_the_curve_kind() -> None:
    identity = make_identity(server_name="n1")
    assert decode_public(identity.server_id, KeyKind.SERVER)
    assert decode_public(identity.xkey, KeyKind.CURVE)
    assert identity.server_name == "n1"


def test_the_seeds_belong_to_the_keys() -> None:
    identity = make_identity(server_name="")
    assert public_key(identity.seed) == identity.server_id
    assert public_key(identity.xkey_seed) == identity.xkey


def test_a_node_without_a_name_is_called_by_its_id() -> None:
    identity = make_identity(server_name="")
    assert identity.server_name == identity.server_id
    assert identity != make_identity(server_name="")
