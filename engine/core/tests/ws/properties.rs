//! Properties: cutting changes nothing, nothing panics, what goes in comes out.

use natsfleet_core::ws::{Flate, WsCodec, WsOptions};
use proptest::collection::vec;
use proptest::prelude::*;

use super::peer::*;

fn options() -> impl Strategy<Value = WsOptions> {
    (
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(None), (1usize..5000).prop_map(Some)],
        any::<bool>(),
        1usize..100_000,
    )
        .prop_map(|(compress, masked_input, frame_bytes_max, fragment_compressed, message_bytes_max)| WsOptions {
            compress,
            masked_input,
            frame_bytes_max,
            fragment_compressed,
            message_bytes_max,
        })
}

/// Bytes with some repetition, so that deflate has something to do.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..300), (vec(any::<u8>(), 1..20), 0usize..2000).prop_map(|(unit, n)| unit.repeat(n)),]
}

/// A message cut into frames, with the bytes it carries.
type Message = (Vec<Frame>, Vec<u8>);

fn message(options: WsOptions) -> impl Strategy<Value = Message> {
    let packed = if options.compress { any::<bool>().boxed() } else { Just(false).boxed() };
    let text = any::<bool>();
    (payload(), packed, text, vec(any::<prop::sample::Index>(), 0..4), vec(any::<u8>(), 0..126), any::<[u8; 4]>())
        .prop_map(move |(payload, packed, text, cuts, ping, key)| {
            let body = if packed { deflate(&payload) } else { payload.clone() };
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.insert(0, 0);
            cuts.push(body.len());
            let mut frames = Vec::new();
            for (i, pair) in cuts.windows(2).enumerate() {
                let opcode = match (i, text) {
                    (0, true) => TEXT,
                    (0, false) => BINARY,
                    _ => CONTINUATION,
                };
                let mut frame = Frame::new(opcode, &body[pair[0]..pair[1]]);
                frame.last = i == cuts.len() - 2;
                frame.rsv = if packed && i == 0 { 4 } else { 0 };
                frames.push(frame);
                if i == 1 {
                    frames.push(Frame::new(PING, &ping));
                }
            }
            for frame in &mut frames {
                frame.key = options.masked_input.then_some(key);
            }
            (frames, payload)
        })
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    at.insert(0, 0);
    at.push(bytes.len());
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn conversation() -> impl Strategy<Value = (WsOptions, Vec<Message>)> {
    options().prop_flat_map(|options| {
        let roomy = WsOptions { message_bytes_max: 1 << 20, ..options };
        (Just(roomy), vec(message(roomy), 0..6))
    })
}

proptest! {
    #[test]
    fn any_cutting_of_valid_frames_gives_their_payloads(
        (options, messages) in conversation(),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(frames, _)| frames).flat_map(Frame::to_bytes).collect();
        let expected: Vec<u8> = messages.iter().flat_map(|(_, payload)| payload.clone()).collect();
        let pongs: Vec<u8> = messages
            .iter()
            .flat_map(|(frames, _)| frames)
            .filter(|frame| frame.opcode == PING)
            .flat_map(|frame| Frame::new(PONG, &frame.payload).unmasked().to_bytes())
            .collect();
        let heard = hear(options, cut(&bytes, &cuts));
        prop_assert_eq!(heard, Heard { nats: expected, control: pongs, closed: false, error: None });
    }

    #[test]
    fn byte_by_byte_equals_at_once((options, messages) in conversation()) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(frames, _)| frames).flat_map(Frame::to_bytes).collect();
        prop_assert_eq!(hear(options, bytes.chunks(1)), hear(options, [&bytes[..]]));
    }

    #[test]
    fn random_bytes_never_panic_and_cutting_changes_nothing(
        options in options(),
        bytes in vec(any::<u8>(), 0..600),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let whole = hear(options, [&bytes[..]]);
        let pieces = hear(options, cut(&bytes, &cuts));
        prop_assert_eq!(whole.error, pieces.error);
        prop_assert_eq!(whole.closed, pieces.closed);
        prop_assert_eq!(whole.control, pieces.control);
        if whole.error.is_none() {
            prop_assert_eq!(whole.nats, pieces.nats);
        }
    }

    #[test]
    fn frames_with_one_byte_damaged_never_panic(
        (options, messages) in conversation(),
        at in any::<prop::sample::Index>(),
        damage in 1u8..,
    ) {
        let mut bytes: Vec<u8> = messages.iter().flat_map(|(frames, _)| frames).flat_map(Frame::to_bytes).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        let at = at.index(bytes.len());
        bytes[at] ^= damage;
        let whole = hear(options, [&bytes[..]]);
        let pieces = hear(options, bytes.chunks(7));
        prop_assert_eq!(whole.error, pieces.error);
        prop_assert_eq!(whole.closed, pieces.closed);
    }

    #[test]
    fn damaged_deflate_streams_never_panic(
        bytes in vec(any::<u8>(), 0..300),
        payload in payload(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut packed = deflate(&payload);
        let at = at.index(packed.len());
        packed.splice(at.., bytes.iter().copied());
        let small = WsOptions { message_bytes_max: 10_000, ..COMPRESSED };
        let heard = hear_frames(small, &[Frame::binary(&packed).rsv(4)]);
        if heard.error.is_none() {
            prop_assert!(heard.nats.len() <= 10_000);
        }
    }

    #[test]
    fn output_arrives_whatever_the_peer_needs(options in options(), chunks in vec(payload(), 0..6)) {
        let mut flate = Flate::new();
        let mut out = Vec::new();
        let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        WsCodec::new(options).encode(&slices, &mut flate, &mut out);
        prop_assert_eq!(received(&out), chunks.concat());
        if let Some(max) = options.frame_bytes_max.filter(|_| !options.compress || options.fragment_compressed) {
            prop_assert!(sent_frames(&out).iter().all(|frame| frame.payload.len() <= max));
        }
    }

    #[test]
    fn our_own_output_is_valid_input(compress in any::<bool>(), chunks in vec(payload(), 0..6)) {
        let options = WsOptions { compress, masked_input: false, ..PLAIN };
        let mut out = Vec::new();
        let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        WsCodec::new(options).encode(&slices, &mut Flate::new(), &mut out);
        prop_assert_eq!(hear(options, [&out[..]]).nats, chunks.concat());
    }
}
