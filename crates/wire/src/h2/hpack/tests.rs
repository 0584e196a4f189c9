use proptest::prelude::*;

use super::*;

type Owned = (Vec<u8>, Vec<u8>);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Owned>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut Strings::default(), |field| {
        fields.push((field.name.to_vec(), field.value.to_vec()));
    })?;
    Ok(fields)
}

fn owned(fields: &[(&str, &str)]) -> Vec<Owned> {
    let both = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    fields.iter().map(both).collect()
}

fn encoded(encoder: &mut Encoder, fields: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    fields
        .iter()
        .for_each(|(name, value)| encoder.field(&mut out, name, value, false));
    out
}

#[test]
fn integers_are_those_of_appendix_c_1() {
    let cases: [(usize, u32, &[u8]); 3] = [
        (10, 5, &[0b01010]),
        (1337, 5, &[0b11111, 0b1001_1010, 0b1010]),
        (42, 8, &[42]),
    ];
    for (value, prefix, bytes) in cases {
        assert_eq!(integer::decode(bytes, prefix), Ok((value, bytes.len())));
        let mut out = Vec::new();
        integer::encode(&mut out, 0, prefix, value);
        assert_eq!(out, bytes);
    }
    assert_eq!(integer::decode(&[0x1f, 0x80], 5), Err(HpackError::Truncated));
    assert_eq!(
        integer::decode(&[0xff, 0xff, 0xff, 0xff, 0xff, 0], 7),
        Err(HpackError::IntegerTooLarge)
    );
    assert_eq!(
        integer::decode(&[0xff, 0xff, 0xff, 0xff, 0x7f], 7),
        Err(HpackError::IntegerTooLarge)
    );
    assert_eq!(
        integer::decode(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80], 7),
        Err(HpackError::IntegerTooLarge)
    );
}

#[test]
fn fields_are_those_of_appendix_c_2() {
    let cases = [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key",
            "custom-header",
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path", "/sample/path"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password", "secret"),
        ("82", ":method", "GET"),
    ];
    for (block, name, value) in cases {
        assert_eq!(
            decoded(&mut Decoder::new(), &hex(block)),
            Ok(owned(&[(name, value)]))
        );
    }
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn requests_are_those_of_appendices_c_3_and_c_4() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        for (block, fields) in blocks.iter().zip(REQUESTS) {
            assert_eq!(decoded(&mut decoder, &hex(block)), Ok(owned(fields)));
        }
        assert_eq!(
            decoder.table.get(0),
            Some((&b"custom-key"[..], &b"custom-value"[..]))
        );
        assert_eq!(
            decoder.table.get(2),
            Some((&b":authority"[..], &b"www.example.com"[..]))
        );
        assert_eq!(decoder.table.get(3), None);
    }
}

#[test]
fn responses_in_a_table_of_256_bytes_are_those_of_appendices_c_5_and_c_6() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let location = ("location", "https://www.example.com");
    let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let responses = [
        vec![(":status", "302"), ("cache-control", "private"), date, location],
        vec![(":status", "307"), ("cache-control", "private"), date, location],
        vec![
            (":status", "200"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            location,
            ("content-encoding", "gzip"),
            ("set-cookie", cookie),
        ],
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        decoder.on_announced(256);
        for (block, fields) in blocks.iter().zip(&responses) {
            assert_eq!(decoded(&mut decoder, &hex(block)), Ok(owned(fields)));
        }
        assert_eq!(decoder.table.iter().count(), 3);
    }
}

#[test]
fn what_breaks_the_rules_ends_the_connection() {
    use HpackError::*;
    let huffman_of_eos = "0084 ffff fffc 00";
    let cases = [
        ("80", BadIndex),
        ("be", BadIndex),
        ("7f ff ff ff ff 7f", IntegerTooLarge),
        ("00 86 f2 b2 4a 84 ff ff 00", BadHuffman), // eight bits of padding
        ("00 81 00 00", BadHuffman),                // padding of zeros
        (huffman_of_eos, BadHuffman),
        ("00 05 61", Truncated),
        ("40", Truncated),
        ("3f e2 1f", TableTooLarge),
        ("82 20", MisplacedTableSize),
        ("20 20 20 82", MisplacedTableSize),
    ];
    for (block, error) in cases {
        assert_eq!(decoded(&mut Decoder::new(), &hex(block)), Err(error), "{block}");
    }
    assert_eq!(
        decoded(&mut Decoder::new(), &hex("20 3f e1 1f 82")),
        Ok(owned(&[(":method", "GET")]))
    );
}

#[test]
fn an_entry_may_take_its_name_from_the_one_that_it_displaces() {
    let mut decoder = Decoder::new();
    decoder.on_announced(64);
    let (first, second) = (hex("4003 6162 6305 7878 7878 78"), hex("7e 06 797979797979"));
    assert_eq!(decoded(&mut decoder, &first), Ok(owned(&[("abc", "xxxxx")])));
    assert_eq!(decoded(&mut decoder, &second), Ok(owned(&[("abc", "yyyyyy")])));
    assert_eq!(decoder.table.get(0), Some((&b"abc"[..], &b"yyyyyy"[..])));
    assert_eq!(decoder.table.get(1), None);
    // One that is larger than the table empties it.
    let large = [&hex("40 01 61 1f")[..], &[b'z'; 31]].concat();
    assert!(decoded(&mut decoder, &large).is_ok());
    assert_eq!(decoder.table.get(0), Some((&b"a"[..], &[b'z'; 31][..])));
    assert!(decoded(&mut decoder, &[&hex("40 01 61 20")[..], &[b'z'; 32]].concat()).is_ok());
    assert_eq!(decoder.table.get(0), None);
}

#[test]
fn a_smaller_table_is_said_at_the_next_blocks_start() {
    let mut encoder = Encoder::new(Indexing::Dynamic);
    let mut decoder = Decoder::new();
    let fields = owned(&[("server", "x"), ("via", "y")]);
    assert_eq!(
        decoded(&mut decoder, &encoded(&mut encoder, &fields)),
        Ok(fields.clone())
    );
    encoder.on_peer_table_size(0);
    encoder.on_peer_table_size(1 << 20);
    let block = encoded(&mut encoder, &fields);
    assert!(block.starts_with(&hex("20 3f e1 1f")), "{block:x?}");
    assert_eq!(decoded(&mut decoder, &block), Ok(fields.clone()));
    assert_eq!(
        encoded(&mut encoder, &fields).len(),
        2,
        "both are in the table now"
    );
    encoder.on_peer_table_size(100);
    assert!(encoded(&mut encoder, &fields).starts_with(&hex("3f 45")));
}

#[test]
fn credentials_and_what_came_so_are_never_indexed() {
    let mut encoder = Encoder::new(Indexing::Dynamic);
    for (name, value, never) in [
        ("Authorization", "Basic x", false),
        ("cookie", "a=b", false),
        ("set-cookie", "a=b", false),
        ("server", "secret", true),
        ("x-own", "secret", true),
    ] {
        let mut out = Vec::new();
        encoder.field(&mut out, name.as_bytes(), value.as_bytes(), never);
        let mut told = false;
        let take = |field: Field<'_>| told = field.never_indexed;
        Decoder::new()
            .decode(&out, &mut Strings::default(), take)
            .unwrap();
        assert!(told, "{name}");
        assert_eq!(encoder.table.get(0), None);
    }
}

/// Fields that hit the static table, the encoder's choice, and neither.
fn fields() -> impl Strategy<Value = Vec<Owned>> {
    let name = prop_oneof![
        (0..61_usize).prop_map(|index| static_table::STATIC[index].0.as_bytes().to_vec()),
        "[a-z-]{1,40}".prop_map(String::into_bytes),
    ];
    let value = prop_oneof![
        (0..61_usize).prop_map(|index| static_table::STATIC[index].1.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..60),
        "[a-z]{200,1300}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((name, value), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_decoded(
        blocks in prop::collection::vec((fields(), prop::option::of(0..9000_u32)), 1..12),
        dynamic in any::<bool>(),
    ) {
        let mut encoder = Encoder::new(if dynamic { Indexing::Dynamic } else { Indexing::Static });
        let mut decoder = Decoder::new();
        for (fields, size) in blocks {
            if let Some(size) = size {
                encoder.on_peer_table_size(size);
            }
            let block = encoded(&mut encoder, &fields);
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(fields));
            prop_assert!(decoder.table.iter().eq(encoder.table.iter()));
        }
        decoder.shrink();
        prop_assert!(decoder.table.iter().eq(encoder.table.iter()));
    }

    #[test]
    fn huffman_codes_of_any_text_are_decoded_and_no_code_is_wrong_in_silence(
        text in prop::collection::vec(any::<u8>(), 0..300), code in prop::collection::vec(any::<u8>(), 0..40)
    ) {
        let (mut coded, mut back) = (Vec::new(), Vec::new());
        huffman::encode(&text, &mut coded);
        prop_assert_eq!(coded.len(), huffman::encoded_len(&text));
        huffman::decode(&coded, &mut back).unwrap();
        prop_assert_eq!(&back, &text);
        // A code is the only one of its text.
        back.clear();
        if huffman::decode(&code, &mut back).is_ok() {
            coded.clear();
            huffman::encode(&back, &mut coded);
            prop_assert_eq!(coded, code);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_within_bounds(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5)) {
        let (mut decoder, mut strings) = (Decoder::new(), Strings::default());
        for block in blocks {
            let mut count = 0;
            let end = decoder.decode(&block, &mut strings, |_| count += 1);
            prop_assert!(count <= block.len());
            if end.is_err() {
                break;
            }
        }
    }
}
