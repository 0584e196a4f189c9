use proptest::prelude::*;

use super::*;
use crate::h1::encode;

/// What decoding `input` gives when it arrives in pieces that end at `ends`.
#[derive(Debug, PartialEq)]
struct Outcome {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many bytes belong to the body; all that was fed if it did not end.
    consumed: usize,
    end: Result<bool, DecodeError>,
}

fn decode(length: BodyLength, input: &[u8], ends: &[usize], limits: &Limits) -> Outcome {
    let mut decoder = BodyDecoder::new(length);
    let mut trailers = Fields::default();
    let (mut data, mut at) = (Vec::new(), 0);
    let mut end = Ok(false);
    'pieces: for &piece_end in ends {
        loop {
            match decoder.decode(&input[at..piece_end], limits, &mut trailers) {
                Ok(Step { consumed, part }) => {
                    if let Part::Data(range) = &part {
                        assert!(!range.is_empty() && range.end <= consumed);
                        data.extend_from_slice(&input[at..][range.clone()]);
                    }
                    at += consumed;
                    match part {
                        Part::NeedMore => {
                            assert_eq!(at, piece_end, "all that came is consumed");
                            break;
                        }
                        Part::Data(_) => {}
                        Part::End => {
                            end = Ok(true);
                            break 'pieces;
                        }
                    }
                }
                Err(error) => {
                    end = Err(error);
                    break 'pieces;
                }
            }
        }
    }
    if end.is_ok() {
        assert_eq!(decoder.has_ended(), end == Ok(true));
        let until_close = length == BodyLength::UntilClose;
        assert_eq!(decoder.finish_at_eof().is_ok(), end == Ok(true) || until_close);
    } else {
        at = 0;
    }
    let trailers = trailers
        .iter()
        .map(|(_, name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    Outcome {
        data,
        trailers,
        consumed: at,
        end,
    }
}

fn chunked(input: &[u8]) -> Outcome {
    decode(BodyLength::Chunked, input, &[input.len()], &Limits::default())
}

fn refused(input: &[u8]) -> DecodeError {
    chunked(input).end.unwrap_err()
}

#[test]
fn a_length_is_counted_and_what_follows_is_left_alone() {
    let outcome = decode(BodyLength::Length(5), b"helloGET /", &[3, 10], &Limits::default());
    assert_eq!(
        (outcome.data.as_slice(), outcome.consumed, outcome.end),
        (&b"hello"[..], 5, Ok(true))
    );
    for nothing in [BodyLength::None, BodyLength::Length(0)] {
        let outcome = decode(nothing, b"GET /", &[5], &Limits::default());
        assert_eq!((outcome.consumed, outcome.end), (0, Ok(true)));
    }
    let mut decoder = BodyDecoder::new(BodyLength::Length(5));
    decoder
        .decode(b"hel", &Limits::default(), &mut Fields::default())
        .unwrap();
    assert_eq!(decoder.finish_at_eof(), Err(DecodeError::Premature));
}

#[test]
fn only_a_close_ends_a_body_that_goes_on_until_then() {
    let outcome = decode(BodyLength::UntilClose, b"0\r\n\r\n", &[1, 5], &Limits::default());
    assert_eq!(
        (outcome.data.as_slice(), outcome.end),
        (&b"0\r\n\r\n"[..], Ok(false))
    );
}

#[test]
fn chunks_extensions_and_trailers_are_taken_apart() {
    let input = b"5;a=\"b c\"\r\nhello\r\n00A\r\n, world!!!\r\n000;x\r\nGrpc-Status: 0\r\nTE: x\r\n\r\nGET";
    let outcome = chunked(input);
    assert_eq!(outcome.data, b"hello, world!!!");
    assert_eq!(outcome.trailers, [(b"Grpc-Status".to_vec(), b"0".to_vec())]);
    assert_eq!((&input[outcome.consumed..], outcome.end), (&b"GET"[..], Ok(true)));
}

#[test]
fn every_deviation_from_the_chunk_grammar_is_refused() {
    for (input, error) in [
        (&b"\r\n"[..], DecodeError::BadChunkSize),
        (b"g\r\n", DecodeError::BadChunkSize),
        (b" 5\r\n", DecodeError::BadChunkSize),
        (b"5 \r\n", DecodeError::BadChunkSize),
        (b"5\t;a\r\n", DecodeError::BadChunkSize),
        (b"+5\r\n", DecodeError::BadChunkSize),
        (b"0x5\r\n", DecodeError::BadChunkSize),
        (b"5\rhello", DecodeError::BadChunkSize),
        (b";a\r\n", DecodeError::BadChunkSize),
        (b"00000000000000005\r\n", DecodeError::BadChunkSize),
        (b"ffffffffffffffff\r\n", DecodeError::ChunkTooLarge),
        (b"8000000000000000\r\n", DecodeError::ChunkTooLarge),
        (b"5\nhello", DecodeError::BareLf),
        (b"5;a\nhello", DecodeError::BareLf),
        (b"5;\r\n", DecodeError::BadExtension),
        (b"5;a\0b\r\n", DecodeError::BadExtension),
        (b"5;=a\r\n", DecodeError::BadExtension),
        (b"5;a=\r\n", DecodeError::BadExtension),
        (b"5;a b\r\n", DecodeError::BadExtension),
        (b"5;a \r\n", DecodeError::BadExtension),
        (b"5;a=b=c\r\n", DecodeError::BadExtension),
        (b"5;a=\"b\r\n", DecodeError::BadExtension),
        (b"5;a=\"b\"c\r\n", DecodeError::BadExtension),
        (b"5;a;;b\r\n", DecodeError::BadExtension),
        (b"5;a;\r\n", DecodeError::BadExtension),
        (b"5;(a)\r\n", DecodeError::BadExtension),
        (b"5;a\rb\r\n", DecodeError::BadChunkSize),
        (b"1\r\nab\r\n", DecodeError::BadChunkEnd),
        (b"1\r\na\n0\r\n", DecodeError::BadChunkEnd),
        (b"1\r\na\r0\r\n", DecodeError::BadChunkEnd),
        (b"1\r\na0\r\n", DecodeError::BadChunkEnd),
        (b"0\r\n\n", DecodeError::Trailer(HeadError::BareLf)),
        (b"0\r\nA: b\n\r\n", DecodeError::Trailer(HeadError::BareLf)),
        (b"0\r\nA: b\rc\r\n\r\n", DecodeError::Trailer(HeadError::BareCr)),
        (b"0\r\n A: b\r\n\r\n", DecodeError::Trailer(HeadError::ObsFold)),
        (
            b"0\r\nA : b\r\n\r\n",
            DecodeError::Trailer(HeadError::WhiteSpaceBeforeColon),
        ),
        (
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            DecodeError::Trailer(HeadError::WhiteSpaceBeforeColon),
        ),
        (
            b"0\r\nA: \0\r\n\r\n",
            DecodeError::Trailer(HeadError::InvalidValue),
        ),
        (b"0\r\nContent-Length: 5\r\n\r\n", DecodeError::ForbiddenTrailer),
        (
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            DecodeError::ForbiddenTrailer,
        ),
        (b"0\r\nHost: b\r\n\r\n", DecodeError::ForbiddenTrailer),
    ] {
        assert_eq!(refused(input), error, "{}", input.escape_ascii());
    }
}

#[test]
fn sixteen_digits_and_the_largest_length_are_borne() {
    assert_eq!(chunked(b"7fffffffffffffff\r\nx").end, Ok(false));
    assert_eq!(chunked(b"0000000000000001\r\nx\r\n0\r\n\r\n").end, Ok(true));
}

#[test]
fn extensions_are_limited_for_each_chunk_and_against_the_data() {
    let limits = Limits {
        chunk_extension: 4,
        ..Limits::default()
    };
    let run = |input: &[u8]| decode(BodyLength::Chunked, input, &[input.len()], &limits).end;
    assert_eq!(run(b"1;1234\r\nx\r\n"), Ok(false));
    assert_eq!(run(b"1;12345\r\nx\r\n"), Err(DecodeError::ExtensionTooLarge));
    // Each chunk spends four and earns one: 64 * 4 are spent after 85 chunks and a bit.
    let chunk = b"1;1234\r\nx\r\n";
    assert_eq!(run(&chunk.repeat(85)), Ok(false));
    assert_eq!(run(&chunk.repeat(86)), Err(DecodeError::ExtensionTooLarge));
    let fair = b"4;1234\r\nxxxx\r\n";
    assert_eq!(run(&fair.repeat(10_000)), Ok(false));
}

#[test]
fn the_trailer_section_is_limited_in_bytes_and_fields_and_dropped_ones_count() {
    let limits = Limits {
        trailer_bytes: 20,
        fields: 2,
        ..Limits::default()
    };
    let run = |input: &[u8]| decode(BodyLength::Chunked, input, &[input.len()], &limits).end;
    assert_eq!(
        run(b"0\r\nA: 23456789012345\r\n\r\n"),
        Err(DecodeError::TrailersTooLarge)
    );
    assert_eq!(run(b"0\r\nA: 23456789012\r\n\r\n"), Ok(true));
    assert_eq!(
        run(b"0\r\nA: 2345678901234567890"),
        Err(DecodeError::TrailersTooLarge)
    );
    assert_eq!(run(b"0\r\nA: 1\r\nTE: 2\r\n\r\n"), Ok(true));
    assert_eq!(
        run(b"0\r\na:\r\nTE:\r\nb:\r\n\r\n"),
        Err(DecodeError::TooManyTrailers)
    );
}

/// Bytes that are nearly a chunked body.
fn almost_chunked() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(vec![
            &b"5\r\nhello\r\n"[..], b"1;a=b\r\nx\r\n", b"0\r\n", b"\r\n", b"A: b\r\n", b"Te: x\r\n", b"3\r\nabc", b"\r", b"\n",
            b";", b"a", b"0", b"10\r\n0123456789abcdef\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn how_the_bytes_arrive_does_not_matter(
        input in almost_chunked(),
        cuts in prop::collection::vec(0..200_usize, 0..12),
        length in prop_oneof![
            Just(BodyLength::Chunked), Just(BodyLength::UntilClose), (0..60_u64).prop_map(BodyLength::Length),
        ],
    ) {
        let small = Limits { chunk_extension: 2, trailer_bytes: 12, fields: 1, ..Limits::default() };
        for limits in [Limits::default(), small] {
            let whole = decode(length, &input, &[input.len()], &limits);
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).chain([input.len()]).collect();
            ends.sort_unstable();
            prop_assert_eq!(&decode(length, &input, &ends, &limits), &whole);
            let each: Vec<_> = (0..=input.len()).collect();
            prop_assert_eq!(&decode(length, &input, &each, &limits), &whole);
        }
    }

    #[test]
    fn what_is_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        trailers in prop::collection::vec(("x-[a-z]{1,9}", "[!-~]{0,20}"), 0..5),
    ) {
        let mut out = Vec::new();
        for chunk in &chunks {
            encode::chunk_header(&mut out, chunk.len() as u64);
            out.extend_from_slice(chunk);
            out.extend_from_slice(encode::CHUNK_END);
        }
        let mut section = Fields::default();
        trailers.iter().for_each(|(name, value)| section.push(name.as_bytes(), value.as_bytes()));
        encode::last_chunk(&mut out, &section);
        let outcome = chunked(&out);
        prop_assert_eq!(outcome.data, chunks.concat());
        let expected: Vec<_> =
            trailers.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())).collect();
        prop_assert_eq!(outcome.trailers, expected);
        prop_assert_eq!((outcome.consumed, outcome.end), (out.len(), Ok(true)));
    }
}

#[test]
fn chunk_extensions_of_the_grammar_are_left_out() {
    for extension in ["a", "a=b", " a = b ;c", "a=\"x; \\\" y\"", "a=\"\" ;b=1;c"] {
        let chunked = format!("2;{extension}\r\nhi\r\n0;{extension}\r\n\r\n");
        let (mut decoder, mut at, mut data) = (BodyDecoder::new(BodyLength::Chunked), 0, Vec::new());
        loop {
            let input = &chunked.as_bytes()[at..];
            let step = decoder
                .decode(input, &Limits::default(), &mut Fields::default())
                .unwrap();
            at += step.consumed;
            match step.part {
                Part::Data(range) => data.extend_from_slice(&input[range]),
                Part::End => break,
                Part::NeedMore => panic!("{extension}"),
            }
        }
        assert_eq!((data.as_slice(), at), (&b"hi"[..], chunked.len()), "{extension}");
    }
}

#[test]
fn trailers_that_connection_names_end_here() {
    let mut head = Fields::default();
    head.push(b"Connection", b"close, X-Mine");
    let mut decoder = BodyDecoder::new(BodyLength::Chunked).without(Named::by(&head));
    let mut trailers = Fields::default();
    let step = decoder
        .decode(
            b"0\r\nx-mine: 1\r\nX-Kept: 2\r\n\r\n",
            &Limits::default(),
            &mut trailers,
        )
        .unwrap();
    assert_eq!(step.part, Part::End);
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers.get_named(b"x-kept"), Some(&b"2"[..]));
}

/// What goes on of `input` as it came, when it arrives in pieces that end at `ends`: whatever is not taken as it is,
/// is decoded.
fn run_through(input: &[u8], ends: &[usize]) -> (Vec<u8>, Vec<u8>, Result<bool, DecodeError>) {
    let limits = Limits::default();
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let (mut data, mut raw, mut at) = (Vec::new(), Vec::new(), 0);
    for &end in ends {
        loop {
            let boundary = decoder.boundary();
            let run = decoder.run(&input[at..end]);
            let passed = &input[at..at + run.bytes];
            raw.extend_from_slice(passed);
            // A second decoder that goes on from where it stood says the same of what went on.
            let (mut second, mut seen, mut from) = (BodyDecoder::from_boundary(boundary), 0, 0);
            while from < passed.len() {
                let step = second.decode(&passed[from..], &limits, &mut Fields::default());
                let step = step.expect("what went on is well formed");
                if let Part::Data(range) = &step.part {
                    data.extend_from_slice(&passed[from..][range.clone()]);
                    seen += range.len() as u64;
                }
                from += step.consumed;
                if !matches!(step.part, Part::Data(_)) {
                    break;
                }
            }
            assert_eq!(seen, run.data);
            at += run.bytes;
            match decoder.decode(&input[at..end], &limits, &mut Fields::default()) {
                Ok(Step { consumed, part }) => {
                    if let Part::Data(range) = &part {
                        data.extend_from_slice(&input[at..][range.clone()]);
                    }
                    at += consumed;
                    match part {
                        Part::Data(_) => {}
                        Part::NeedMore => break,
                        Part::End => return (data, raw, Ok(true)),
                    }
                }
                Err(error) => return (data, raw, Err(error)),
            }
        }
    }
    (data, raw, Ok(false))
}

#[test]
fn chunks_as_we_would_write_them_go_on_as_they_came() {
    let body = b"5\r\nhello\r\nA\r\n0123456789\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    let (data, raw, end) = run_through(body, &[body.len()]);
    assert_eq!(raw, body);
    assert_eq!((data.len(), end), (31, Ok(true)));
}

#[test]
fn what_is_not_ours_to_pass_on_is_decoded() {
    for (body, passed) in [
        ("5;a=b\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n"),
        ("05\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n"),
        ("00\r\n\r\n", ""),
        ("2\r\nok\r\n0\r\nTrailer: x\r\n\r\n", "2\r\nok\r\n"),
    ] {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let run = decoder.run(body.as_bytes());
        let (_, raw, end) = run_through(body.as_bytes(), &[body.len()]);
        assert_eq!(raw, passed.as_bytes(), "{body:?}");
        assert!(passed.starts_with("2") || run == Run::default(), "{body:?}");
        assert_eq!(end, Ok(true), "{body:?}");
    }
    for (body, error) in [
        ("5 \r\nhello\r\n", DecodeError::BadChunkSize),
        ("5\nhello\r\n", DecodeError::BareLf),
        ("5;a=\r\nhello\r\n", DecodeError::BadExtension),
        ("2\r\nokk\r\n", DecodeError::BadChunkEnd),
        ("2\r\nok\n0\r\n\r\n", DecodeError::BadChunkEnd),
        ("ffffffffffffffff\r\n", DecodeError::ChunkTooLarge),
        ("10000000000000000\r\n", DecodeError::BadChunkSize),
        ("+5\r\nhello\r\n", DecodeError::BadChunkSize),
    ] {
        assert_eq!(
            run_through(body.as_bytes(), &[body.len()]).2,
            Err(error),
            "{body:?}"
        );
    }
}

proptest! {
    /// However it arrives, a body is read alike with and without runs, and all that was run is well formed.
    #[test]
    fn runs_change_nothing_of_what_a_body_says(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["5\r\nhello\r\n", "0a\r\n0123456789\r\n", "B\r\nhello world\r\n", "1;x=y\r\n!\r\n",
                    "0\r\n\r\n", "0\r\nT: v\r\n\r\n", "3\r\nab\r\n", "5\nhello\r\n", "\r\n", "g\r\n", ";", "5"])
                    .prop_map(str::to_owned),
                "[0-9a-f;\r\n]{0,6}",
            ],
            0..8,
        ),
        cuts in prop::collection::vec(0_usize..64, 0..6),
    ) {
        let body = pieces.concat().into_bytes();
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| *cut < body.len()).collect();
        ends.push(body.len());
        ends.sort_unstable();
        let plain = decode(BodyLength::Chunked, &body, &ends, &Limits::default());
        let (data, _, end) = run_through(&body, &ends);
        prop_assert_eq!(&end, &plain.end);
        if end.is_ok() {
            prop_assert_eq!(data, plain.data);
        }
    }
}
