//! What the rig's client and endpoint say to one another: heads as browsers and servers send them.

use memchr::{memchr, memmem};

/// The body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes, as `Content-Length` says.
    Length(usize),
    /// So many bytes, in chunks of at most `chunk` bytes.
    Chunked {
        /// All of them.
        length: usize,
        /// Of one chunk.
        chunk: usize,
    },
}

impl Body {
    /// Bytes of content.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Length(length) | Self::Chunked { length, .. } => length,
        }
    }
}

/// A GET as a browser sends it, about 400 bytes. With `close` the connection serves it alone.
pub(super) fn get(path: &str, close: bool) -> Vec<u8> {
    let last = if close { "Connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\n{REQUEST_FIELDS}{last}\r\n").into_bytes()
}

/// A POST with a body of `length` bytes.
pub(super) fn post(path: &str, length: usize) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\n{REQUEST_FIELDS}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + length, b'p');
    request
}

/// A response with a head of about 250 bytes, and a body.
pub(super) fn response(body: Body) -> Vec<u8> {
    let framing = match body {
        Body::Length(length) => format!("Content-Length: {length}"),
        Body::Chunked { .. } => "Transfer-Encoding: chunked".to_owned(),
    };
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: endpoint\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
         Content-Type: text/html; charset=utf-8\r\n{framing}\r\n\
         Last-Modified: Thu, 19 Nov 2026 08:30:00 GMT\r\nCache-Control: max-age=3600\r\nVary: Accept-Encoding\r\n\r\n"
    )
    .into_bytes();
    match body {
        Body::Length(length) => response.resize(response.len() + length, b'r'),
        Body::Chunked { length, chunk } => {
            for from in (0..length).step_by(chunk) {
                let size = chunk.min(length - from);
                response.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                response.resize(response.len() + size, b'r');
                response.extend_from_slice(b"\r\n");
            }
            response.extend_from_slice(b"0\r\n\r\n");
        }
    }
    response
}

/// One response as it comes in, checked: 200, and a body of the length that was agreed.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The head as far as it is there, while it is not whole.
    head: Vec<u8>,
    /// Of the body, once the head is whole.
    rest: Option<Rest>,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// So many bytes.
    Bytes(usize),
    /// All up to the last chunk. The content has no line break, so the last bytes that came tell.
    Chunks([u8; LAST_CHUNK.len()]),
}

impl Rest {
    /// Takes more bytes of the body; `None` once it is whole.
    fn after(self, bytes: &[u8]) -> Result<Option<Self>, String> {
        match self {
            Self::Bytes(left) => {
                let left = left
                    .checked_sub(bytes.len())
                    .ok_or("more bytes than its length says")?;
                Ok((left > 0).then_some(Self::Bytes(left)))
            }
            Self::Chunks(mut last) => {
                let new = &bytes[bytes.len().saturating_sub(last.len())..];
                last.rotate_left(new.len());
                let kept = last.len() - new.len();
                last[kept..].copy_from_slice(new);
                Ok((last != *LAST_CHUNK).then_some(Self::Chunks(last)))
            }
        }
    }
}

impl Incoming {
    /// Takes the bytes that were just read; whether the response is whole now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, bytes: &[u8], body: Body) -> Result<bool, String> {
        self.rest = match self.rest {
            Some(rest) => rest.after(bytes)?,
            None => match self.take_head(bytes, body)? {
                Some(rest) => rest,
                None => return Ok(false),
            },
        };
        Ok(self.rest.is_none())
    }

    /// Whether a byte of it has come.
    pub(super) fn has_begun(&self) -> bool {
        self.rest.is_some() || !self.head.is_empty()
    }

    /// `None` while the head is not whole; then what is still to come of the body.
    fn take_head(&mut self, bytes: &[u8], body: Body) -> Result<Option<Option<Rest>>, String> {
        // Nearly always the head comes in one piece, which then is not copied.
        let mut kept = std::mem::take(&mut self.head);
        let whole = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let Some(end) = head_end(whole) else {
            self.head = whole.to_vec();
            return Ok(None);
        };
        let head = &whole[..end];
        if !head.starts_with(b"HTTP/1.1 200") {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or(head);
            return Err(String::from_utf8_lossy(line).into_owned());
        }
        let rest = match (body, content_length(head)) {
            (Body::Length(length), Some(said)) if said == length => Rest::Bytes(length),
            (Body::Chunked { .. }, None) => Rest::Chunks([0; LAST_CHUNK.len()]),
            (body, said) => return Err(format!("a length of {said:?}, not {body:?}")),
        };
        rest.after(&whole[end..]).map(Some)
    }
}

/// Where the head ends, if it does.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// What the head says of its body's length.
pub(super) fn content_length(head: &[u8]) -> Option<usize> {
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end + 1);
        if line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
            return std::str::from_utf8(&line[LENGTH.len()..])
                .ok()?
                .trim()
                .parse()
                .ok();
        }
        rest = after;
    }
    None
}

const LAST_CHUNK: &[u8; 7] = b"\r\n0\r\n\r\n";
const LENGTH: &[u8] = b"content-length:";
const REQUEST_FIELDS: &str = "Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Referer: http://shop.example.com/catalogue\r\nCookie: id=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_have_the_sizes_that_are_told() {
        let request = get("/catalogue/item?id=4711", false).len();
        assert!((380..=420).contains(&request), "{request}");
        let head = response(Body::Length(100)).len() - 100;
        assert!((230..=270).contains(&head), "{head}");
        assert_eq!(content_length(&post("/", 4096)), Some(4096));
    }

    #[test]
    fn a_response_is_whole_at_its_last_byte_however_it_is_cut() {
        let chunked = Body::Chunked {
            length: 100,
            chunk: 40,
        };
        for body in [Body::Length(100), chunked] {
            let response = response(body);
            for cut in 1..response.len() {
                let mut incoming = Incoming::default();
                assert_eq!(incoming.take(&response[..cut], body), Ok(false), "cut at {cut}");
                assert!(incoming.has_begun());
                assert_eq!(incoming.take(&response[cut..], body), Ok(true), "cut at {cut}");
                assert!(!incoming.has_begun());
            }
        }
    }

    #[test]
    fn a_wrong_answer_is_told() {
        let take = |bytes: &[u8]| Incoming::default().take(bytes, Body::Length(100));
        assert_eq!(
            take(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            Err("HTTP/1.1 503 Service Unavailable".to_owned())
        );
        assert!(take(&response(Body::Length(99))).is_err());
        assert!(take(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        let mut longer = response(Body::Length(100));
        longer.push(b'r');
        assert!(take(&longer).is_err());
    }
}
