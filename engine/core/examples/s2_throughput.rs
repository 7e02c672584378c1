//! How fast S2 packs and reads: `cargo run --release -p natsfleet-core --example s2_throughput`.

use std::hint::black_box;
use std::time::Instant;

use natsfleet_core::s2::{Effort, Packer, Reader};

const BATCH_BYTES: usize = 64 << 10;
const ROUNDS: usize = 2000;

fn main() {
    let mut noise = 1u32;
    let mut next = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    let random: Vec<u8> = (0..BATCH_BYTES).map(|_| next()).collect();
    let mut small: Vec<u8> = Vec::new();
    while small.len() < BATCH_BYTES {
        small.extend_from_slice(b"RMSG $G orders.eu.1234 16\r\n");
        small.extend((0..16).map(|_| next()));
        small.extend_from_slice(b"\r\n");
    }
    let mut json = Vec::new();
    while json.len() < BATCH_BYTES {
        let id = u32::from(next()) << 8 | u32::from(next());
        json.extend_from_slice(
            format!("RMSG $G orders.eu 70\r\n{{\"id\":{id:08},\"state\":\"open\",\"items\":[{},{}],\"customer\":\"acme\"}}\r\n", next(), next())
                .as_bytes(),
        );
    }
    for (name, batch) in [("noise", random), ("16 B of noise a message", small), ("JSON", json)] {
        for effort in [Effort::None, Effort::Fast, Effort::Better, Effort::Best] {
            let rounds = if effort > Effort::Fast { ROUNDS / 20 } else { ROUNDS };
            let (mut packer, mut wire) = (Packer::default(), Vec::new());
            let start = Instant::now();
            for _ in 0..rounds {
                wire.clear();
                packer.pack(&[black_box(&batch)], effort, &mut wire);
            }
            let packed = rate(batch.len() * rounds, start);
            let (mut reader, mut plain) = (Reader::default(), Vec::new());
            let start = Instant::now();
            for _ in 0..rounds {
                plain.clear();
                reader.read(black_box(&wire), usize::MAX, &mut plain).expect("own streams are read");
            }
            let read = rate(batch.len() * rounds, start);
            let part = wire.len() * 100 / batch.len();
            println!("{name:24} {:16} to {part:3} %  packs {packed:6.2} GB/s  reads {read:6.2} GB/s", effort.name());
        }
    }
}

fn rate(bytes: usize, start: Instant) -> f64 {
    bytes as f64 / start.elapsed().as_secs_f64() / 1e9
}
