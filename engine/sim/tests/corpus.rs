//! The corpus of the fuzz targets, replayed through their bodies.

use std::path::Path;

use natsfleet_sim::targets;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut replayed = 0;
    for file in files {
        let path = file.map(|file| file.path()).unwrap_or_else(|error| panic!("{error}"));
        let data = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = std::panic::catch_unwind(|| body(&data));
        assert!(outcome.is_ok(), "{target} fails on {}", path.display());
        replayed += 1;
    }
    assert!(replayed > 20, "only {replayed} files in {}", folder.display());
}

#[test]
fn client_parser_corpus_holds() {
    replay("client_parser", targets::client_parser);
}

#[test]
fn engine_feed_corpus_holds() {
    replay("engine_feed", targets::engine_feed);
}

#[test]
fn ws_decode_corpus_holds() {
    replay("ws_decode", targets::ws_decode);
}

#[test]
fn s2_reader_corpus_holds() {
    replay("s2_reader", targets::s2_reader);
}
