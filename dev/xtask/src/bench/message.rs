//! What the rig's client and endpoint say to one another: heads as browsers and servers send them.

use memchr::{memchr, memmem};

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

/// A response with a head of about 250 bytes and a body of `length`.
pub(super) fn response(length: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nServer: endpoint\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
         Last-Modified: Thu, 19 Nov 2026 08:30:00 GMT\r\nCache-Control: max-age=3600\r\nVary: Accept-Encoding\r\n\r\n"
    )
    .into_bytes();
    response.resize(response.len() + length, b'r');
    response
}

/// One response as it comes in, checked: 200, and a body of the length that was agreed.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The head as far as it is there, while it is not whole.
    head: Vec<u8>,
    /// Of the body, once the head is whole.
    left: Option<usize>,
}

impl Incoming {
    /// Takes the bytes that were just read; whether the response is whole now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, bytes: &[u8], length: usize) -> Result<bool, String> {
        let left = match self.left {
            Some(left) => left
                .checked_sub(bytes.len())
                .ok_or("more bytes than its length says")?,
            None => match self.take_head(bytes, length)? {
                Some(left) => left,
                None => return Ok(false),
            },
        };
        self.left = (left > 0).then_some(left);
        Ok(left == 0)
    }

    /// Whether a byte of it has come.
    pub(super) fn has_begun(&self) -> bool {
        self.left.is_some() || !self.head.is_empty()
    }

    fn take_head(&mut self, bytes: &[u8], length: usize) -> Result<Option<usize>, String> {
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
        match content_length(head) {
            Some(said) if said == length => {}
            said => return Err(format!("a length of {said:?}, not {length}")),
        }
        let left = length.checked_sub(whole.len() - end);
        left.map(Some)
            .ok_or_else(|| "more bytes than its length says".to_owned())
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
        let head = response(100).len() - 100;
        assert!((230..=270).contains(&head), "{head}");
        assert_eq!(content_length(&post("/", 4096)), Some(4096));
    }

    #[test]
    fn a_response_is_whole_at_its_last_byte_however_it_is_cut() {
        let response = response(100);
        for cut in 1..response.len() {
            let mut incoming = Incoming::default();
            assert_eq!(incoming.take(&response[..cut], 100), Ok(false), "cut at {cut}");
            assert!(incoming.has_begun());
            assert_eq!(incoming.take(&response[cut..], 100), Ok(true), "cut at {cut}");
            assert!(!incoming.has_begun());
        }
    }

    #[test]
    fn a_wrong_answer_is_told() {
        let take = |bytes: &[u8]| Incoming::default().take(bytes, 100);
        assert_eq!(
            take(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
            Err("HTTP/1.1 503 Service Unavailable".to_owned())
        );
        assert!(take(&response(99)).is_err());
        assert!(take(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        let mut longer = response(100);
        longer.push(b'r');
        assert!(take(&longer).is_err());
    }
}
