//! What nats-server 2.15.1 sent on a route to a peer that asked for compression: INFO, its interest, then messages with
//! words, long runs and repetitions far apart. All kinds of copies are in it, and repeats at all lengths.

use natsfleet_core::s2::{Effort, Packer, Reader};

const STREAMS: [(Effort, &[u8]); 3] = [
    (Effort::Fast, include_bytes!("real_fast.s2")),
    (Effort::Better, include_bytes!("real_better.s2")),
    (Effort::Best, include_bytes!("real_best.s2")),
];

fn read(stream: &[u8], piece: usize) -> Vec<u8> {
    let mut reader = Reader::default();
    let mut plain = Vec::new();
    for piece in stream.chunks(piece) {
        assert!(!reader.read(piece, usize::MAX, &mut plain).unwrap());
    }
    assert_eq!(reader.buffered_bytes(), 0, "the stream ends with a chunk");
    plain
}

#[test]
fn streams_of_a_real_server_are_read() {
    for (effort, stream) in STREAMS {
        let plain = read(stream, stream.len());
        let text = String::from_utf8_lossy(&plain);
        assert!(text.starts_with("INFO {\"server_id\":\"N"), "{effort:?}");
        assert_eq!(text.matches("RS+ $G region.").count(), 150, "{effort:?}");
        assert!(text.contains(&format!("RMSG $G big 120000\r\n{}\r\n", "abc".repeat(40_000))), "{effort:?}");
        assert_eq!(read(stream, 7), plain, "{effort:?}");
    }
}

#[test]
fn ours_is_not_much_larger_than_theirs() {
    for (effort, stream) in STREAMS {
        let plain = read(stream, stream.len());
        let (mut quick, mut ours) = (Vec::new(), Vec::new());
        Packer::default().pack(&[&plain], Effort::Fast, &mut quick);
        Packer::default().pack(&[&plain], effort, &mut ours);
        assert!(ours.len() <= quick.len());
        assert!(ours.len() * 10 <= stream.len() * 11, "{effort:?}: {} against {}", ours.len(), stream.len());
    }
}
