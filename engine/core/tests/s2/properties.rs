//! Properties: what goes in comes out, cutting changes nothing, nothing panics.

use natsfleet_core::s2::{
    decode_block, encode_block, Compressor, Effort, Packer, Reader, S2Error, CHUNK_PLAIN_BYTES_MAX,
};
use proptest::collection::vec;
use proptest::prelude::*;

const EFFORTS: [Effort; 4] = [Effort::None, Effort::Fast, Effort::Better, Effort::Best];

fn effort() -> impl Strategy<Value = Effort> {
    prop::sample::select(EFFORTS.to_vec())
}

/// Bytes that repeat themselves near and far, in part and at length.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let words = vec((vec(any::<u8>(), 1..24), 1usize..40), 0..40);
    let order = vec(any::<prop::sample::Index>(), 0..200);
    (words, order, 0usize..3).prop_map(|(words, order, spread)| {
        let mut plain = Vec::new();
        for at in order.iter().filter(|_| !words.is_empty()) {
            let (word, times) = &words[at.index(words.len())];
            plain.extend(word.repeat(*times));
            if spread == 2 && plain.len() < 200_000 {
                let noise = plain.len() as u32;
                plain.extend((0..noise % 3000).map(|n| ((n ^ noise).wrapping_mul(0x9e37_79b1) >> 24) as u8));
            }
        }
        plain
    })
}

/// Reads everything in pieces of these sizes, a little at a time.
fn read(wire: &[u8], cuts: &[usize], enough: usize) -> Result<Vec<u8>, S2Error> {
    let mut reader = Reader::default();
    let mut all = Vec::new();
    let mut rest = wire;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (mut piece, after) = rest.split_at(cut.min(rest.len()));
        loop {
            let mut plain = Vec::new();
            let more = reader.read(piece, enough, &mut plain);
            assert!(plain.len() <= enough + CHUNK_PLAIN_BYTES_MAX);
            all.append(&mut plain);
            piece = &[];
            if !more? {
                break;
            }
        }
        rest = after;
    }
    assert!(!reader.has_more());
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blocks_come_back(plain in plain(), effort in effort()) {
        let (mut block, mut back) = (Vec::new(), Vec::new());
        encode_block(&plain, effort, &mut Compressor::default(), &mut block);
        decode_block(&block, plain.len(), &mut back).unwrap();
        prop_assert_eq!(back, plain);
    }

    #[test]
    fn streams_come_back_however_they_are_cut(
        flushes in vec((plain(), effort(), vec(1usize..5000, 0..4)), 1..5),
        cuts in vec(1usize..3000, 0..60),
        enough in 1usize..100_000,
    ) {
        let mut packer = Packer::default();
        let (mut wire, mut said) = (Vec::new(), Vec::new());
        for (plain, effort, pieces) in &flushes {
            let mut parts: Vec<&[u8]> = Vec::new();
            let mut rest: &[u8] = plain;
            for size in pieces {
                let (part, after) = rest.split_at((*size).min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            packer.pack(&parts, *effort, &mut wire);
            said.extend_from_slice(plain);
        }
        prop_assert_eq!(read(&wire, &cuts, enough).unwrap(), said);
    }

    #[test]
    fn any_bytes_are_a_block_or_are_refused(block in vec(any::<u8>(), 0..300)) {
        let mut out = b"kept".to_vec();
        let outcome = decode_block(&block, 1 << 16, &mut out);
        prop_assert!(out.starts_with(b"kept"));
        prop_assert!(outcome.is_ok() || out.len() == 4);
    }

    #[test]
    fn damaged_streams_are_noticed_or_harmless(plain in plain(), effort in effort(), damage in any::<(prop::sample::Index, u8)>()) {
        let mut wire = Vec::new();
        Packer::default().pack(&[&plain], effort, &mut wire);
        if let (false, (at, bits)) = (wire.is_empty(), damage) {
            let at = at.index(wire.len());
            wire[at] ^= bits;
            if let Ok(read) = read(&wire, &[], 1 << 20) {
                // Only the kind of a chunk or its length may hide it: then it counts as padding, or is waited for.
                prop_assert!(plain.starts_with(&read) || read.len() < plain.len());
            }
        }
    }

    #[test]
    fn cuts_do_not_matter_to_errors(wire in vec(any::<u8>(), 0..200), cuts in vec(1usize..20, 0..30), snappy in any::<bool>()) {
        let mut stream = if snappy { b"\xff\x06\x00\x00sNaPpY".to_vec() } else { b"\xff\x06\x00\x00S2sTwO".to_vec() };
        stream.extend(wire);
        prop_assert_eq!(read(&stream, &cuts, 1 << 20), read(&stream, &[], 1 << 20));
    }
}

#[test]
fn large_output_is_cut_into_chunks_and_comes_back() {
    let mut plain: Vec<u8> = (0u32..700_000).flat_map(|n| (n % 60_000).to_le_bytes()).collect();
    plain.resize(5 << 20, b'x');
    for effort in EFFORTS {
        let mut wire = Vec::new();
        Packer::default().pack(&[&plain[..1000], &plain[1000..]], effort, &mut wire);
        assert_eq!(read(&wire, &[100_000; 70], 1 << 20).unwrap(), plain, "{effort:?}");
        assert_eq!(wire.len() < plain.len(), effort != Effort::None, "{effort:?}: {}", wire.len());
    }
}

#[test]
fn more_effort_makes_it_smaller() {
    let lines: String = (0..3000).map(|n| format!("RS+ $G orders.{}.region.{}\r\n", n * 7 % 1013, n % 17)).collect();
    let sizes = EFFORTS.map(|effort| {
        let mut wire = Vec::new();
        Packer::default().pack(&[lines.as_bytes()], effort, &mut wire);
        wire.len()
    });
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    assert!(sizes[1] * 2 < sizes[0], "{sizes:?}");
}
