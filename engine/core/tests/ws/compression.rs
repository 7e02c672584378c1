//! Compressed messages from the peer: what is accepted, what is too much, what is not deflate.

use natsfleet_core::ws::{Flate, WsCodec, WsError, WsOptions, INFLATED_PAUSE_BYTES};

use super::peer::*;

const SMALL: WsOptions = WsOptions { message_bytes_max: 2_000, ..COMPRESSED };

fn too_much(frames: &[Frame]) -> bool {
    hear_frames(SMALL, frames).error == Some(WsError::PayloadExceeded)
}

#[test]
fn compressed_and_plain_messages_mix() {
    let heard = hear_frames(
        COMPRESSED,
        &[Frame::deflated(b"PING\r\n"), Frame::binary(b"PONG\r\n"), Frame::deflated(b""), Frame::deflated(b"+OK\r\n")],
    );
    assert_eq!(heard, Heard { nats: b"PING\r\nPONG\r\n+OK\r\n".to_vec(), ..Heard::default() });
}

#[test]
fn a_compressed_message_may_span_frames_with_control_frames_between() {
    let packed = deflate(b"PUB a 5\r\nhello\r\n");
    let (head, tail) = packed.split_at(5);
    let heard = hear_frames(
        COMPRESSED,
        &[
            Frame::binary(head).rsv(4).not_last(),
            Frame::new(PING, b"x"),
            Frame::new(CONTINUATION, tail).not_last(),
            Frame::new(CONTINUATION, b""),
        ],
    );
    assert_eq!(heard.nats, b"PUB a 5\r\nhello\r\n");
    assert_eq!(heard.control, b"\x8a\x01x");
}

#[test]
fn a_stream_that_ends_itself_is_accepted_whatever_follows_in_its_message() {
    let mut ended = deflate(b"PING\r\n");
    ended.extend([0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]);
    ended.extend(b"anything");
    let heard = hear_frames(COMPRESSED, &[Frame::binary(&ended).rsv(4), Frame::deflated(b"PONG\r\n")]);
    assert_eq!(heard, Heard { nats: b"PING\r\nPONG\r\n".to_vec(), ..Heard::default() });
}

#[test]
fn what_is_not_deflate_is_refused() {
    let whole = deflate(&b"PING\r\n".repeat(20));
    for payload in [&b"\xff\xff\xff\xff"[..], b"", &whole[..5], &whole[..whole.len() - 1]] {
        let heard = hear_frames(COMPRESSED, &[Frame::binary(payload).rsv(4)]);
        assert_eq!(heard.error, Some(WsError::CompressedDataCorrupt), "{payload:02x?}");
        assert!(heard.control.starts_with(b"\x88\x1c\x03\xefcorrupt"));
    }
}

#[test]
fn a_message_may_inflate_to_the_limit_and_not_beyond() {
    assert_eq!(hear_frames(SMALL, &[Frame::deflated(&[b'x'; 2000])]).nats, [b'x'; 2000]);
    assert!(too_much(&[Frame::deflated(&[b'x'; 2001])]));
    assert!(too_much(&[Frame::deflated(&[b'x'; 1 << 20])]));
    let two_messages = [Frame::deflated(&[b'x'; 2000]), Frame::deflated(&[b'y'; 2000])];
    assert_eq!(hear_frames(SMALL, &two_messages).nats.len(), 4000);
}

#[test]
fn a_packed_message_may_be_eight_times_the_limit_and_no_more() {
    let empty_blocks = [0, 0, 0, 0xff, 0xff].repeat(3200);
    assert_eq!(empty_blocks.len(), 16_000);
    let mut fits = Frame::binary(&empty_blocks[..15_996]).rsv(4);
    fits.payload.truncate(15_996);
    fits.payload.splice(15_995.., [0]);
    assert_eq!(hear_frames(SMALL, &[fits]), Heard::default());
    assert!(too_much(&[Frame::binary(&[0; 16_001]).rsv(4)]));
    let fragment = |opcode| Frame::new(opcode, &empty_blocks[..4_000]).not_last();
    let mut fragments = vec![fragment(BINARY).rsv(4)];
    fragments.extend((0..3).map(|_| fragment(CONTINUATION)));
    assert_eq!(hear_frames(SMALL, &fragments), Heard::default());
    fragments.push(Frame::new(CONTINUATION, b"\0"));
    assert!(too_much(&fragments));
}

#[test]
fn the_limit_on_packed_bytes_is_enforced_on_the_announced_length() {
    let heard = hear(SMALL, [&b"\xc2\xff\0\0\x01\0\0\0\0\0abcd"[..]]);
    assert_eq!(heard.error, Some(WsError::PayloadExceeded));
    assert_eq!(heard.error.unwrap().status(), 1009);
    let large = WsOptions { message_bytes_max: 1 << 40, ..COMPRESSED };
    let heard = hear(large, [&b"\xc2\xff\0\0\0\0\x04\0\0\x01abcd"[..]]);
    assert_eq!(heard.error, Some(WsError::PayloadExceeded));
}

#[test]
fn the_limits_do_not_apply_to_plain_messages() {
    assert_eq!(hear_frames(SMALL, &[Frame::binary(&[b'x'; 50_000])]).nats.len(), 50_000);
}

#[test]
fn a_burst_of_bombs_is_taken_in_portions() {
    let bomb = Frame::deflated(&vec![b'x'; 1 << 20]).to_bytes();
    let input = bomb.repeat(64);
    let mut codec = WsCodec::new(COMPRESSED);
    let (mut flate, mut control) = (Flate::new(), Vec::new());
    let (mut taken, mut portions) = (0, 0);
    while taken < input.len() {
        let mut out = Vec::new();
        let decoded = codec.decode(&input[taken..], &mut flate, &mut out, &mut control).unwrap();
        assert!(out.len() <= 2 * INFLATED_PAUSE_BYTES);
        taken += decoded.consumed;
        portions += 1;
    }
    assert_eq!(portions, 64);
}
