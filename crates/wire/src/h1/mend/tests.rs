use super::*;
use crate::h1::encode::{self, OutboundHead};
use crate::h1::head::{Limits, Scan};

fn read(text: &[u8], mut scan: Scan) -> Result<(ResponseHead, usize), HeadError> {
    let mut head = ResponseHead::default();
    let length = head.read(text, &mut scan, &Limits::default())?;
    Ok((head, length.expect("a whole head")))
}

/// The head as it goes on, and what was mended.
fn mended(text: &str) -> (String, Option<Mend>) {
    let (mut head, length) = read(text.as_bytes(), Scan::mending()).unwrap();
    assert_eq!(&text[length..], "body", "{text:?}");
    let body = response_body(&mut head, Method::Get).unwrap();
    let mut out = Vec::new();
    let outbound = OutboundHead {
        body,
        ..OutboundHead::default()
    };
    encode::response(&mut out, &head, &outbound);
    (String::from_utf8(out).unwrap(), head.mended)
}

const CASES: [(&str, &str, Mend); 13] = [
    (
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        "content-length: 4\r\n",
        Mend::EmptyLine,
    ),
    (
        "\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        "content-length: 4\r\n",
        Mend::EmptyLine,
    ),
    (
        "HTTP/1.1 200 OK\nContent-Length: 4\n\n",
        "content-length: 4\r\n",
        Mend::BareLf,
    ),
    (
        "HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 4\r\n\r\n",
        "X: 1\r\ncontent-length: 4\r\n",
        Mend::BareLf,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\n",
        "content-length: 4\r\n",
        Mend::BareLf,
    ),
    (
        "HTTP/1.1 200 OK\r\nX: 1\r\n  2\r\n\t3 \r\nContent-Length: 4\r\n\r\n",
        "X: 1 2 3\r\ncontent-length: 4\r\n",
        Mend::ObsFold,
    ),
    (
        "HTTP/1.1 200 OK\r\nX:\r\n 2\r\nContent-Length: 4\r\n\r\n",
        "X: 2\r\ncontent-length: 4\r\n",
        Mend::ObsFold,
    ),
    (
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 4\r\n\r\n",
        "X: 1\r\ncontent-length: 4\r\n",
        Mend::WhiteSpaceBeforeColon,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
        "content-length: 4\r\n",
        Mend::EqualLengths,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
        "content-length: 4\r\n",
        Mend::EqualLengths,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nContent-Length: 8\r\n\r\n",
        "transfer-encoding: chunked\r\n",
        Mend::LengthBesideChunked,
    ),
    (
        "HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "",
        Mend::FramingWithoutBody,
    ),
    (
        "HTTP/1.1 304 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: x\r\n\r\n",
        "",
        Mend::FramingWithoutBody,
    ),
];

#[test]
fn what_can_be_mended_is_written_anew_and_told() {
    for (text, fields, mend) in CASES {
        let (out, told) = mended(&format!("{text}body"));
        let status = &text[text.find("HTTP").unwrap()..][..12];
        assert_eq!(out, format!("{status} OK\r\n{fields}\r\n"), "{text:?}");
        assert_eq!(told, Some(mend), "{text:?}");
        let strict = read(text.as_bytes(), Scan::default())
            .map_err(|_| ())
            .and_then(|(head, _)| framing::response_body(&head, Method::Get).map_err(|_| ()));
        assert_eq!(strict, Err(()), "strict: {text:?}");
    }
}

#[test]
fn a_mended_head_is_the_same_however_its_bytes_arrive() {
    for (text, ..) in CASES {
        let (whole, length) = read(text.as_bytes(), Scan::mending()).unwrap();
        let (mut head, mut scan) = (ResponseHead::default(), Scan::mending());
        for end in 0..text.len() {
            let read = head.read(&text.as_bytes()[..end], &mut scan, &Limits::default());
            assert_eq!(read, Ok(None), "{:?}", &text[..end]);
        }
        let read = head.read(text.as_bytes(), &mut scan, &Limits::default());
        assert_eq!(read, Ok(Some(length)), "{text:?}");
        let lines = |head: &ResponseHead| {
            let lines = head
                .fields
                .iter()
                .map(|(_, name, value)| (name.to_vec(), value.to_vec()));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(lines(&head), lines(&whole), "{text:?}");
        assert_eq!(head.mended, whole.mended);
    }
}

#[test]
fn what_is_ambiguous_is_never_mended() {
    for text in [
        "HTTP/1.1 200 OK\r\n X: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n \r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\rY: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX y: a\r\n\r\n",
        "HTTP/1.1 200 O\rK\n\n",
        "\r\n\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "\r\rHTTP/1.1 200 OK\r\n\r\n",
        "GET / HTTP/1.1\n\n",
    ] {
        assert!(read(text.as_bytes(), Scan::mending()).is_err(), "{text:?}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 04\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -4, -4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chun\r\n ked\r\n\r\n",
    ] {
        let (mut head, _) = read(text.as_bytes(), Scan::mending()).unwrap();
        assert!(response_body(&mut head, Method::Get).is_err(), "{text:?}");
    }
}
