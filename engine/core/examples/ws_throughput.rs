//! How fast the WebSocket codec is on this machine: `cargo run --release --example ws_throughput`.
//!
//! Inbound: a 64 KiB read full of masked frames of one size, as NATS bytes per second. Outbound: the cost of compression.

use std::hint::black_box;
use std::time::Instant;

use natsfleet_core::ws::{Flate, WsCodec, WsOptions};

const READ_BYTES: usize = 64 * 1024;
const TOTAL_BYTES: usize = 1 << 30;

fn main() {
    let options = WsOptions {
        compress: false,
        masked_input: true,
        frame_bytes_max: None,
        fragment_compressed: true,
        message_bytes_max: 1 << 20,
    };
    for masked_input in [true, false] {
        for payload_bytes in [16, 128, 1024, 16 * 1024, 60 * 1024, 1 << 20] {
            inbound(WsOptions { masked_input, ..options }, payload_bytes);
        }
    }
    for payload_bytes in [100, 256, 1024, 4096, 65_536] {
        packed(WsOptions { compress: true, ..options }, payload_bytes);
    }
}

fn inbound(options: WsOptions, payload_bytes: usize) {
    let frame = masked_frame(&vec![b'x'; payload_bytes], options.masked_input);
    let frames = (READ_BYTES / frame.len()).max(1);
    let input = frame.repeat(frames);
    let (mut codec, mut flate) = (WsCodec::new(options), Flate::new());
    let (mut out, mut control) = (Vec::with_capacity(input.len()), Vec::new());
    let rounds = (TOTAL_BYTES / (frames * payload_bytes)).clamp(1, 20_000);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..rounds {
            out.clear();
            codec.decode(black_box(&input), &mut flate, &mut out, &mut control).expect("valid frames");
            black_box(&out);
        }
        best = best.min(started.elapsed().as_secs_f64());
    }
    let bytes = (rounds * frames * payload_bytes) as f64;
    println!(
        "inbound masked={:5} frames of {payload_bytes:7} B: {:6.2} GB/s, {:6.1} M frames/s",
        options.masked_input,
        bytes / best / 1e9,
        (rounds * frames) as f64 / best / 1e6,
    );
}

fn packed(options: WsOptions, payload_bytes: usize) {
    let text: Vec<u8> = (0..)
        .flat_map(|i: u64| {
            let (id, name, temp) = (i * 7919 % 10_007, i % 37, i * 31 % 100);
            format!("{{\"id\":{id},\"name\":\"sensor-{name}\",\"temp\":{temp},\"ok\":true}}\n").into_bytes()
        })
        .take(payload_bytes)
        .collect();
    let (mut codec, mut flate) = (WsCodec::new(WsOptions { masked_input: false, ..options }), Flate::new());
    let (mut sent, mut out, mut control) = (Vec::new(), Vec::new(), Vec::new());
    let rounds = 40_000_000 / (payload_bytes + 4000);
    let started = Instant::now();
    for _ in 0..rounds {
        sent.clear();
        codec.encode(&[black_box(&text)], &mut flate, &mut sent);
    }
    let packing = started.elapsed().as_secs_f64() / rounds as f64;
    let started = Instant::now();
    for _ in 0..rounds {
        out.clear();
        codec.decode(black_box(&sent), &mut flate, &mut out, &mut control).expect("valid frames");
    }
    let unpacking = started.elapsed().as_secs_f64() / rounds as f64;
    println!(
        "compressed {payload_bytes:6} B to {:5.1} %: out {:7.0} ns ({:5.0} MB/s), in {:6.0} ns ({:5.0} MB/s)",
        100.0 * sent.len() as f64 / payload_bytes as f64,
        packing * 1e9,
        payload_bytes as f64 / packing / 1e6,
        unpacking * 1e9,
        payload_bytes as f64 / unpacking / 1e6,
    );
}

fn masked_frame(payload: &[u8], masked: bool) -> Vec<u8> {
    let mut frame = WsCodec::frame_header(payload.len(), false).as_bytes().to_vec();
    if masked {
        frame[1] |= 0x80;
        let key = [0x11, 0x22, 0x33, 0x44];
        frame.extend(key);
        frame.extend(payload.iter().enumerate().map(|(i, b)| b ^ key[i % 4]));
    } else {
        frame.extend(payload);
    }
    frame
}
