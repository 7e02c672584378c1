import base64
import binascii

from services.shared.runtime.node_identity import make_identity


def test_keys_have_the_text_form_of_nkeys() -> None:
    identity = make_identity(server_name="")
    for text, prefix in ((identity.server_id, 13 << 3), (identity.xkey, 23 << 3)):
        raw = base64.b32decode(text)
        assert len(text) == 56
        assert raw[0] == prefix
        assert binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")
    assert identity.server_id[0] == "N"
    assert identity.xkey[0] == "X"


def test_the_seed_belongs_to_the_id() -> None:
    from nacl.signing import SigningKey

    identity = make_identity(server_name="n1")
    assert base64.b32decode(identity.server_id)[1:-2] == bytes(SigningKey(identity.seed).verify_key)
    assert identity.server_name == "n1"


def test_a_node_without_a_name_is_called_by_its_id() -> None:
    identity = make_identity(server_name="")
    assert identity.server_name == identity.server_id
    assert identity != make_identity(server_name="")
