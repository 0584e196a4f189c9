//! What must hold for any bytes: the fuzz targets run these checks, and an ordinary test of the
//! `wire` crate replays the seeds through them.

use std::borrow::Cow;

use wire::field::{Fields, Known};
use wire::h1::encode::{self, OutboundHead};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{Limits, Method, RequestHead, ResponseHead, Scan};
use wire::path::Target;
use wire::{forwarded, hop, host, outbound, path};

mod body;

pub use body::chunked;

use body::Decoded;

/// A small set of limits, so that the fuzzer meets them.
pub(crate) const TIGHT: Limits = Limits {
    head_bytes: 96,
    fields: 3,
    request_line: 24,
    chunk_extension: 3,
    trailer_bytes: 24,
};

/// Heads: no panic, no byte beyond the input, the same verdict however the bytes arrive, and what is
/// written anew reads as the same message.
pub fn head(data: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let mut whole = RequestHead::default();
        let verdict = whole.read(data, &mut Scan::default(), &limits);
        let (mut pieces, mut scan) = (RequestHead::default(), Scan::default());
        assert_eq!(
            in_pieces(data, |prefix| pieces.read(prefix, &mut scan, &limits)),
            verdict
        );
        assert_eq!(
            (whole.method_text(), whole.target()),
            (pieces.method_text(), pieces.target())
        );
        assert!(whole.fields.iter().eq(pieces.fields.iter()));
        if let Ok(Some(len)) = verdict {
            assert!(len <= data.len().min(limits.head_bytes) && whole.fields.len() <= limits.fields);
            request_is_written_as_it_was_read(&whole);
        }

        let mut whole = ResponseHead::default();
        let verdict = whole.read(data, &mut Scan::default(), &limits);
        let (mut pieces, mut scan) = (ResponseHead::default(), Scan::default());
        assert_eq!(
            in_pieces(data, |prefix| pieces.read(prefix, &mut scan, &limits)),
            verdict
        );
        assert_eq!((whole.status, whole.reason()), (pieces.status, pieces.reason()));
        assert!(whole.fields.iter().eq(pieces.fields.iter()));
        if let Ok(Some(len)) = verdict {
            assert!(len <= data.len().min(limits.head_bytes) && (100..=999).contains(&whole.status));
            response_is_written_as_it_was_read(&whole);
        }
    }
}

/// Framing and everything else that is decided from a head: decisions hold again for what is written
/// from them, and what is written can be read in one way only.
pub fn framing(data: &[u8]) {
    let limits = Limits::default();
    let mut request = RequestHead::default();
    if let Ok(Some(_)) = request.read(data, &mut Scan::default(), &limits) {
        target_and_host(&request);
        let _ = hop::expects_continue(&request);
        let _ = hop::max_forwards(&request);
        let _ = hop::upgrade_request(&request);
        if let Ok(body) = framing::request_body(&request) {
            assert_ne!(body, BodyLength::UntilClose);
            stated_once(&request.fields, body);
            forwarded_request_means_the_same(&request, body);
        }
    }
    let mut response = ResponseHead::default();
    if let Ok(Some(_)) = response.read(data, &mut Scan::default(), &limits) {
        for method in [Method::Get, Method::Head, Method::Connect] {
            if let Ok(body) = framing::response_body(&response, method) {
                if method == Method::Get {
                    stated_once(&response.fields, body);
                }
                relayed_response_means_the_same(&response, method, body);
            }
        }
    }
}

/// A request that we accept in every respect, with all of its body.
pub struct Accepted {
    /// Its head.
    pub head: RequestHead,
    /// How its body is framed.
    pub framing: BodyLength,
    /// Its body.
    pub body: Vec<u8>,
    /// Where the head ends.
    pub head_len: usize,
    /// Where the message ends.
    pub message_len: usize,
}

/// What we make of the first request in `data`, if it is complete and nothing is wrong with it.
pub fn accepted(data: &[u8]) -> Option<Accepted> {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let head_len = head.read(data, &mut Scan::default(), &limits).ok()??;
    let target = Target::of(&head).ok()?;
    host::request_host(&head, &target).ok()?;
    hop::check_connection(&head.fields).ok()?;
    hop::expects_continue(&head).ok()?;
    let framing = framing::request_body(&head).ok()?;
    let decoded = Decoded::of(framing, [&data[head_len..]].into_iter(), &limits);
    let complete = decoded.end == Ok(true);
    let message_len = head_len + decoded.consumed;
    complete.then_some(Accepted {
        head,
        framing,
        body: decoded.data,
        head_len,
        message_len,
    })
}

/// Whatever head we accept, `httparse` accepts, with the same method, target, version, fields and length.
pub fn agrees_with_httparse(data: &[u8]) {
    let limits = Limits::default();
    let mut ours = RequestHead::default();
    if let Ok(Some(len)) = ours.read(data, &mut Scan::default(), &limits) {
        let mut slots = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Request::new(&mut slots);
        assert_eq!(theirs.parse(data), Ok(httparse::Status::Complete(len)));
        assert_eq!(
            (theirs.method, theirs.path),
            (Some(ours.method_text()), Some(ours.target()))
        );
        assert_eq!(theirs.version, Some(ours.version as u8));
        same_fields(&ours.fields, theirs.headers);
    }
    let mut ours = ResponseHead::default();
    if let Ok(Some(len)) = ours.read(data, &mut Scan::default(), &limits) {
        let mut slots = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Response::new(&mut slots);
        assert_eq!(theirs.parse(data), Ok(httparse::Status::Complete(len)));
        assert_eq!(
            (theirs.code, theirs.version),
            (Some(ours.status), Some(ours.version as u8))
        );
        // It gives obs-text in a reason up for an empty one.
        assert!(!ours.reason().is_ascii() || theirs.reason.map(str::as_bytes) == Some(ours.reason()));
        same_fields(&ours.fields, theirs.headers);
    }
}

fn same_fields(ours: &Fields, theirs: &[httparse::Header<'_>]) {
    let ours = ours.iter().map(|(_, name, value)| (name, value));
    // It leaves white space before CRLF in the value of some lines; the meaning is the same.
    let theirs = theirs
        .iter()
        .map(|field| (field.name.as_bytes(), trimmed(field.value)));
    assert!(ours.eq(theirs));
}

fn trimmed(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    &value[start..end]
}

/// Pieces of uneven length, chosen by the bytes themselves, so that an input replays alike.
pub(crate) fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut seed = data.iter().fold(data.len() as u64, |seed, &byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut rest = data;
    std::iter::from_fn(move || {
        seed = seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let len = ((seed >> 33) as usize % 17 + 1).min(rest.len());
        let (piece, after) = rest.split_at(len);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The verdict when prefixes of growing length are read, one by one if there are few bytes.
fn in_pieces<E>(
    data: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<Option<usize>, E>,
) -> Result<Option<usize>, E> {
    let mut end = 0;
    let mut verdict = read(&[])?;
    let step: Box<dyn Iterator<Item = &[u8]>> = if data.len() <= 128 {
        Box::new(data.chunks(1))
    } else {
        Box::new(pieces(data))
    };
    for piece in step {
        end += piece.len();
        verdict = read(&data[..end])?;
        if verdict.is_some() {
            break;
        }
    }
    Ok(verdict)
}

fn reread(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    let limits = Limits {
        head_bytes: usize::MAX,
        fields: 200,
        request_line: usize::MAX,
        ..Limits::default()
    };
    assert_eq!(
        head.read(bytes, &mut Scan::default(), &limits),
        Ok(Some(bytes.len()))
    );
    head
}

fn reread_response(bytes: &[u8]) -> ResponseHead {
    let mut head = ResponseHead::default();
    let limits = Limits {
        head_bytes: usize::MAX,
        fields: 200,
        ..Limits::default()
    };
    assert_eq!(
        head.read(bytes, &mut Scan::default(), &limits),
        Ok(Some(bytes.len()))
    );
    head
}

fn request_is_written_as_it_was_read(head: &RequestHead) {
    let mut bytes = Vec::new();
    encode::request(&mut bytes, head, &OutboundHead::default());
    let again = reread(&bytes);
    assert_eq!(
        (head.method_text(), head.target()),
        (again.method_text(), again.target())
    );
    is_part_of(&again.fields, &head.fields);
    let mut twice = Vec::new();
    encode::request(&mut twice, &again, &OutboundHead::default());
    assert_eq!(bytes, twice);
}

fn response_is_written_as_it_was_read(head: &ResponseHead) {
    let mut bytes = Vec::new();
    encode::response(&mut bytes, head, &OutboundHead::default());
    let again = reread_response(&bytes);
    assert_eq!((head.status, head.reason()), (again.status, again.reason()));
    is_part_of(&again.fields, &head.fields);
}

/// What was written came from the head, in order, but for the fields that we state ourselves.
fn is_part_of(written: &Fields, head: &Fields) {
    let mut source = head.iter();
    for field in written
        .iter()
        .filter(|(known, ..)| !matches!(known, Known::Te | Known::Connection))
    {
        assert!(source.any(|from| from == field));
    }
}

fn count(fields: &Fields, known: Known) -> usize {
    fields.all(known).count()
}

/// A decision for a length or for chunks rests on exactly one statement.
fn stated_once(fields: &Fields, body: BodyLength) {
    let stated = (
        count(fields, Known::ContentLength),
        count(fields, Known::TransferEncoding),
    );
    match body {
        BodyLength::Length(_) => assert_eq!(stated, (1, 0)),
        BodyLength::Chunked => assert_eq!(stated.0, 0),
        BodyLength::UntilClose => assert_eq!(stated, (0, 0)),
        BodyLength::None => {}
    }
}

fn forwarded_request_means_the_same(request: &RequestHead, body: BodyLength) {
    let peer = [192, 0, 2, 1].into();
    let trusted = [([192, 0, 2, 0].into(), 24)];
    let trust = forwarded::Trust {
        hops: 0,
        networks: &trusted,
    };
    let _ = forwarded::client_address(&request.fields, peer, trust);
    let mut head = request.clone();
    let arrival = outbound::Arrival {
        name: "evenkeel",
        peer,
        keeps_claims: false,
        believed: false,
        scheme: "http",
        asked_host: "h",
        max_forwards: None,
    };
    outbound::request(&mut head, &arrival);
    head.fields.put(Known::Host, |value| value.push(b'h'));
    let mut bytes = Vec::new();
    encode::request(
        &mut bytes,
        &head,
        &OutboundHead {
            body,
            ..OutboundHead::default()
        },
    );
    let again = reread(&bytes);
    assert_eq!(framing::request_body(&again), Ok(body));
    assert_eq!(hop::check_connection(&again.fields), Ok(()));
    for ours in [Known::Host, Known::XForwardedFor, Known::Via] {
        assert_eq!(count(&again.fields, ours), 1);
    }
    for ends_here in [
        Known::Upgrade,
        Known::KeepAlive,
        Known::ProxyAuthorization,
        Known::Http2Settings,
        Known::Claim,
        Known::Alias,
    ] {
        assert_eq!(count(&again.fields, ends_here), 0);
    }
}

fn relayed_response_means_the_same(response: &ResponseHead, method: Method, body: BodyLength) {
    let mut bytes = Vec::new();
    encode::response(
        &mut bytes,
        response,
        &OutboundHead {
            body,
            ..OutboundHead::default()
        },
    );
    let again = reread_response(&bytes);
    assert_eq!(framing::response_body(&again, method), Ok(body));
    assert!(!framing::keeps_alive(again.version, &again.fields) || !again.fields.has(Known::Connection));
}

/// What is matched is what any server makes of what is forwarded: both forms are final.
fn target_and_host(request: &RequestHead) {
    let Ok(target) = Target::of(request) else { return };
    if target.path.starts_with('/') {
        let path = &target.path;
        assert!(matches!(path::to_forward(path), Ok(Cow::Borrowed(same)) if same == path));
        let matched = path::to_match(path, true);
        assert!(!matched.contains("//"));
        assert_eq!(path::to_match(&matched, true), matched);
        assert_eq!(path::to_forward(&matched).as_ref(), Ok(&matched));
        assert!(!target.is_plain || matched == *path);
        let _ = path::other_readings(path, true);
        let mut forwarded = String::new();
        target.write_to(&mut forwarded);
        assert!(!target.is_as_sent() || forwarded == request.target());
        let mut again = request.clone();
        again.set_target(&forwarded);
        let retaken = Target::of(&again).expect("a forwarded target can be taken apart");
        assert_eq!((&retaken.path, retaken.query), (&target.path, target.query));
    }
    if let Ok(Some(authority)) = host::request_host(request, &target) {
        let key = host::host_key(authority);
        assert!(!key.is_empty() && !key.bytes().any(|byte| byte.is_ascii_uppercase()));
    }
}
