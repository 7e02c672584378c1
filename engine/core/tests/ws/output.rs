//! What the codec sends: headers, compression, the small frames that browsers need.

use natsfleet_core::ws::{Flate, WsCodec, WsOptions, BROWSER_FRAME_BYTES_MAX};

use super::peer::*;

const BROWSER: WsOptions = WsOptions { frame_bytes_max: Some(BROWSER_FRAME_BYTES_MAX), ..PLAIN };

fn encode(options: WsOptions, chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    WsCodec::new(options).encode(chunks, &mut Flate::new(), &mut out);
    out
}

fn shapes(bytes: &[u8]) -> Vec<(u8, usize)> {
    sent_frames(bytes).iter().map(|frame| (frame.first, frame.payload.len())).collect()
}

/// Bytes that deflate to a little more than half.
fn hex_noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b"0123456789abcdef"[(state >> 60) as usize]
        })
        .collect()
}

#[test]
fn plain_output_is_one_binary_message() {
    assert_eq!(encode(PLAIN, &[b"PING", b"", b"\r\n"]), b"\x82\x06PING\r\n");
    assert_eq!(shapes(&encode(PLAIN, &[&[0; 100_000]])), [(0x82, 100_000)]);
    assert_eq!(encode(PLAIN, &[]), b"");
}

#[test]
fn a_browser_gets_messages_of_at_most_4096_bytes() {
    assert_eq!(shapes(&encode(BROWSER, &[&[0; 5000], &[0; 5000]])), [(0x82, 4096), (0x82, 4096), (0x82, 1808)]);
    assert!(WsCodec::new(BROWSER).passes_unchanged(4096));
    assert!(!WsCodec::new(BROWSER).passes_unchanged(4097));
}

#[test]
fn output_of_64_bytes_is_not_compressed_and_of_65_is() {
    let codec = WsCodec::new(COMPRESSED);
    assert!(!codec.wants_compression(64) && codec.passes_unchanged(64));
    assert!(codec.wants_compression(65) && !codec.passes_unchanged(65));
    assert!(!WsCodec::new(PLAIN).wants_compression(65));
    assert_eq!(shapes(&encode(COMPRESSED, &[&[b'x'; 64]])), [(0x82, 64)]);
    let packed = encode(COMPRESSED, &[&[b'x'; 40], &[b'x'; 25]]);
    assert_eq!(packed[0], 0xc2);
    assert!(packed.len() < 20);
    assert_eq!(received(&packed), [b'x'; 65]);
}

#[test]
fn compressed_output_goes_to_browsers_in_fragments() {
    let noise = hex_noise(12_000);
    let sent = encode(WsOptions { compress: true, ..BROWSER }, &[&noise]);
    let frames = shapes(&sent);
    assert_eq!(frames[0], (0x42, 4096));
    assert_eq!(frames[1].0, 0x80);
    assert_eq!(frames.len(), 2);
    assert_eq!(received(&sent), noise);
}

#[test]
fn compressed_output_goes_to_safari_in_whole_messages() {
    let noise = hex_noise(12_000);
    let sent = encode(WsOptions { compress: true, fragment_compressed: false, ..BROWSER }, &[&noise]);
    let frames = shapes(&sent);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].0, 0xc2);
    assert_eq!(received(&sent), noise);
}

#[test]
fn what_deflate_would_enlarge_goes_out_unchanged() {
    let mut state = 7u64;
    let noise: Vec<u8> = (0..1000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    assert_eq!(shapes(&encode(COMPRESSED, &[&noise])), [(0x82, 1000)]);
}

#[test]
fn a_large_flush_is_compressed_in_messages_that_every_receiver_accepts() {
    let text = b"MSG subject 1 11\r\nhello world\r\n".repeat(10_000);
    let sent = encode(COMPRESSED, &[&text]);
    for frame in sent_frames(&sent) {
        assert_eq!(frame.first, 0xc2);
        assert!(inflate(&frame.payload).len() <= 65_536);
    }
    assert_eq!(received(&sent), text);
    let small = encode(WsOptions { message_bytes_max: 1000, ..COMPRESSED }, &[&text]);
    for frame in sent_frames(&small) {
        assert!(inflate(&frame.payload).len() <= 1000);
    }
    assert_eq!(received(&small), text);
}
