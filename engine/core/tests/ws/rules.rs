//! One test for each rule of frames and closing (reference: wire protocol 5.2, 5.3).

use natsfleet_core::ws::WsError;

use super::peer::*;

fn refusal(frames: &[Frame]) -> String {
    refusal_with(PLAIN, frames)
}

fn refusal_with(options: natsfleet_core::ws::WsOptions, frames: &[Frame]) -> String {
    let heard = hear_frames(options, frames);
    let error = heard.error.expect("refused");
    let told = sent_frames(&heard.control).pop().expect("a close frame");
    assert_eq!(told.first, 0x88);
    assert_eq!(told.payload[..2], error.status().to_be_bytes());
    assert_eq!(told.payload[2..], *error.to_string().as_bytes());
    format!("{} {error}", error.status())
}

fn close(status: u16, text: &[u8]) -> Frame {
    Frame::new(CLOSE, &[&status.to_be_bytes(), text].concat())
}

#[test]
fn text_and_binary_are_both_nats_bytes() {
    let heard = hear_frames(PLAIN, &[Frame::new(TEXT, b"PING\r\n"), Frame::binary(b"\xff\xfe"), Frame::binary(b"")]);
    assert_eq!(heard, Heard { nats: b"PING\r\n\xff\xfe".to_vec(), ..Heard::default() });
}

#[test]
fn fragments_join_and_control_frames_may_come_between() {
    let heard = hear_frames(
        PLAIN,
        &[
            Frame::binary(b"PI").not_last(),
            Frame::new(PING, b"hello"),
            Frame::new(CONTINUATION, b"N").not_last(),
            Frame::new(PONG, b"ignored"),
            Frame::new(CONTINUATION, b"G\r\n"),
            Frame::binary(b"PONG\r\n"),
        ],
    );
    assert_eq!(heard.nats, b"PING\r\nPONG\r\n");
    assert_eq!(heard.control, b"\x8a\x05hello");
}

#[test]
fn a_payload_is_passed_on_before_its_frame_is_complete() {
    let bytes = Frame::binary(&[b'x'; 1000]).to_bytes();
    let heard = hear(PLAIN, [&bytes[..500]]);
    assert_eq!(heard.nats, [b'x'; 492]);
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    assert_eq!(hear_frames(PLAIN, &[Frame::new(PING, b"")]).control, b"\x8a\x00");
    assert_eq!(hear_frames(PLAIN, &[Frame::new(PING, &[7; 125])]).control, [&b"\x8a\x7d"[..], &[7; 125]].concat());
}

#[test]
fn lengths_need_not_take_their_shortest_form() {
    let two = b"\x82\xfe\x00\x06\0\0\0\0PING\r\n";
    let eight = b"\x82\xff\0\0\0\0\0\0\0\x06\0\0\0\0PING\r\n";
    assert_eq!(hear(PLAIN, [&two[..], &eight[..]]).nats, b"PING\r\nPING\r\n");
}

#[test]
fn reserved_bits_are_refused() {
    assert_eq!(refusal(&[Frame::binary(b"x").rsv(2)]), "1002 RSV2 and RSV3 must be clear");
    assert_eq!(refusal(&[Frame::binary(b"x").rsv(1)]), "1002 RSV2 and RSV3 must be clear");
    assert_eq!(refusal_with(COMPRESSED, &[Frame::deflated(b"x").rsv(6)]), "1002 RSV2 and RSV3 must be clear");
}

#[test]
fn compression_must_have_been_negotiated() {
    let text = "1002 compressed frame received without negotiated permessage-deflate";
    assert_eq!(refusal(&[Frame::deflated(b"x")]), text);
    assert_eq!(refusal(&[Frame::new(PING, b"x").rsv(4)]), text);
}

#[test]
fn a_frame_without_mask_is_refused() {
    assert_eq!(refusal(&[Frame::binary(b"x").unmasked()]), "1002 mask bit missing");
    assert_eq!(refusal(&[Frame::new(3, b"").unmasked()]), "1002 mask bit missing");
}

#[test]
fn with_no_masking_agreed_frames_must_come_unmasked() {
    let options = natsfleet_core::ws::WsOptions { masked_input: false, ..PLAIN };
    assert_eq!(hear_frames(options, &[Frame::binary(b"PING\r\n").unmasked()]).nats, b"PING\r\n");
    assert_eq!(
        refusal_with(options, &[Frame::binary(b"PING\r\n")]),
        "1002 mask bit set although no masking was agreed"
    );
}

#[test]
fn unknown_opcodes_are_named() {
    assert_eq!(refusal(&[Frame::new(3, b"")]), "1002 unknown opcode 3");
    assert_eq!(refusal(&[Frame::new(15, b"")]), "1002 unknown opcode 15");
}

#[test]
fn control_frames_are_short_whole_and_not_compressed() {
    let too_long = "1002 control frame length bigger than maximum allowed of 125 bytes";
    assert_eq!(refusal(&[Frame::new(PING, &[0; 126])]), too_long);
    assert_eq!(refusal(&[Frame::new(PING, &[0; 126]).not_last()]), too_long);
    let fragmented = "1002 control frame does not have final bit set";
    assert_eq!(refusal(&[Frame::new(CLOSE, b"").not_last()]), fragmented);
    assert_eq!(refusal_with(COMPRESSED, &[Frame::new(PING, b"x").not_last().rsv(4)]), fragmented);
    let compressed = "1002 control frame must not be compressed";
    assert_eq!(refusal_with(COMPRESSED, &[Frame::new(PING, b"x").rsv(4)]), compressed);
}

#[test]
fn fragments_must_follow_one_another() {
    let continuation = "1002 invalid continuation frame";
    assert_eq!(refusal(&[Frame::new(CONTINUATION, b"x")]), continuation);
    assert_eq!(refusal(&[Frame::binary(b"x"), Frame::new(CONTINUATION, b"y")]), continuation);
    assert_eq!(
        refusal_with(COMPRESSED, &[Frame::deflated(b"x").not_last(), Frame::new(CONTINUATION, b"y").rsv(4)]),
        continuation
    );
    assert_eq!(
        refusal(&[Frame::binary(b"x").not_last(), Frame::new(TEXT, b"y")]),
        "1002 new message started before final frame for previous message was received"
    );
}

#[test]
fn a_length_of_64_bits_is_refused_and_one_of_63_is_not() {
    let heard = hear(PLAIN, [&b"\x82\xff\x80\0\0\0\0\0\0\0"[..]]);
    assert_eq!(heard.error, Some(WsError::LengthInvalid));
    assert_eq!(heard.error.unwrap().to_string(), "invalid 64-bit payload length");
    let heard = hear(PLAIN, [&b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0PING\r\n"[..]]);
    assert_eq!(heard, Heard { nats: b"PING\r\n".to_vec(), ..Heard::default() });
}

#[test]
fn what_came_before_a_violation_stands() {
    let heard = hear_frames(PLAIN, &[Frame::binary(b"PING\r\n"), Frame::new(PING, b"a"), Frame::new(3, b"")]);
    assert_eq!(heard.nats, b"PING\r\n");
    assert_eq!(heard.error, Some(WsError::OpcodeUnknown(3)));
    assert_eq!(heard.control, b"\x8a\x01a\x88\x12\x03\xeaunknown opcode 3");
}

#[test]
fn a_close_is_answered_with_its_own_body() {
    let heard = hear_frames(PLAIN, &[Frame::binary(b"PING\r\n"), close(1000, b"bye")]);
    assert_eq!(
        heard,
        Heard { nats: b"PING\r\n".to_vec(), control: b"\x88\x05\x03\xe8bye".to_vec(), closed: true, error: None }
    );
    assert_eq!(hear_frames(PLAIN, &[Frame::new(CLOSE, b"")]).control, b"\x88\x00");
    let longest = hear_frames(PLAIN, &[close(1000, &[b'b'; 123])]);
    assert_eq!(longest.control, [&b"\x88\x7d\x03\xe8"[..], &[b'b'; 123]].concat());
}

#[test]
fn nothing_is_heard_after_a_close() {
    let heard = hear_frames(PLAIN, &[close(1000, b""), Frame::new(3, b""), Frame::binary(b"PING\r\n")]);
    assert_eq!(heard, Heard { control: b"\x88\x02\x03\xe8".to_vec(), closed: true, ..Heard::default() });
}

#[test]
fn only_statuses_that_may_be_sent_are_accepted() {
    for status in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999] {
        assert!(hear_frames(PLAIN, &[close(status, b"bye")]).closed, "{status}");
    }
    for status in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        assert_eq!(refusal(&[close(status, b"bye")]), format!("1002 invalid close status code {status}"));
    }
    assert_eq!(refusal(&[Frame::new(CLOSE, b"x")]), "1002 close frame payload cannot be 1 byte");
}

#[test]
fn a_close_text_that_is_not_utf8_is_answered_with_1007() {
    let heard = hear_frames(PLAIN, &[close(1000, b"\xff\xfe")]);
    assert!(heard.closed);
    assert_eq!(heard.control, b"\x88\x22\x03\xefinvalid utf8 body in close frame");
    assert_eq!(refusal(&[close(999, b"\xff\xfe")]), "1002 invalid close status code 999");
}
