//! Rules of the stream (reference: wire protocol 2.8).

use natsfleet_core::s2::{Effort, Packer, Reader, S2Error};

const S2: &[u8] = b"\xff\x06\x00\x00S2sTwO";
const SNAPPY: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// `PING\r\n` in a chunk that is not compressed.
const PING: &[u8] = b"\x01\x0a\x00\x00\xab\x90\xcc\x24PING\r\n";

fn read(parts: &[&[u8]]) -> Result<Vec<u8>, S2Error> {
    let mut plain = Vec::new();
    Reader::default().read(&parts.concat(), 1 << 20, &mut plain)?;
    Ok(plain)
}

fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (body.len() as u32).to_le_bytes();
    [&[kind, low, middle, high], body].concat()
}

#[test]
fn a_flush_is_a_stream_of_its_own() {
    let mut wire = Vec::new();
    let mut packer = Packer::default();
    packer.pack(&[b"PI", b"NG\r\n"], Effort::Best, &mut wire);
    assert_eq!(wire, [S2, PING].concat());
    packer.pack(&[b"PING\r\n"], Effort::None, &mut wire);
    assert_eq!(wire, [S2, PING, S2, PING].concat());
    packer.pack(&[b"", b""], Effort::Fast, &mut wire);
    assert_eq!(wire.len(), 2 * (S2.len() + PING.len()), "nothing to say is no stream");
}

#[test]
fn an_identifier_may_come_at_every_boundary_and_is_wanted_at_the_first() {
    assert_eq!(read(&[S2, PING, SNAPPY, SNAPPY, PING, S2]).unwrap(), b"PING\r\nPING\r\n");
    assert_eq!(read(&[PING]), Err(S2Error::NotS2));
    assert_eq!(read(&[b"PING\r\n"]), Err(S2Error::ChunkUnknown(b'P')));
    assert_eq!(read(&[b"\xff\x06\x00\x00S2sTwo"]), Err(S2Error::NotS2));
    assert_eq!(read(&[b"\xff\x07\x00\x00"]), Err(S2Error::NotS2), "before its body is waited for");
}

#[test]
fn padding_is_skipped_and_never_kept() {
    let mut reader = Reader::default();
    let mut plain = Vec::new();
    reader.read(&[S2, b"\xfe\xff\xff\xff"].concat(), 1, &mut plain).unwrap();
    for _ in 0..0xff_ffff / 0xffff {
        reader.read(&[0; 0xffff], 1, &mut plain).unwrap();
        assert_eq!(reader.buffered_bytes(), 0);
    }
    reader
        .read(
            &[&[0; 0xff_ffff % 0xffff], PING, &chunk(0x80, b""), &chunk(0x99, b"index"), PING].concat(),
            100,
            &mut plain,
        )
        .unwrap();
    assert_eq!(plain, b"PING\r\nPING\r\n");
}

#[test]
fn what_is_no_stream_is_refused() {
    for (kind, error) in [(0x02, S2Error::ChunkUnknown(2)), (0x7f, S2Error::ChunkUnknown(0x7f))] {
        assert_eq!(read(&[S2, &chunk(kind, b"abcd")]), Err(error));
    }
    assert_eq!(read(&[S2, &chunk(0, b"abc")]), Err(S2Error::ChunkTooShort));
    assert_eq!(read(&[S2, &chunk(1, b"abc")]), Err(S2Error::ChunkTooShort));
    assert_eq!(read(&[S2, &chunk(1, b"abcdPING\r\n")]), Err(S2Error::ChecksumMismatch));
    assert_eq!(read(&[S2, &chunk(0, b"abcd\x01\x01")]), Err(S2Error::BlockCorrupt));
}

#[test]
fn chunks_that_are_too_long_are_refused_at_their_header() {
    for kind in [0, 1] {
        assert_eq!(read(&[S2, &[kind, 0xff, 0xff, 0xff]]), Err(S2Error::ChunkTooLong));
    }
    // Six bytes that claim to stand for 4 MiB and one.
    assert_eq!(read(&[S2, &chunk(0, b"abcd\x81\x80\x80\x02")]), Err(S2Error::ChunkTooLong));
    assert_eq!(read(&[S2, b"\x01\x04\x00\x40"]), Ok(Vec::new()), "4 MiB are waited for");
}
