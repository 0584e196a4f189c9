//! The heads that every step works on: what a browser asks, and what an application answers.

use wire::h1::head::{Limits, RequestHead, ResponseHead, Scan};

/// A browser's request, about 400 bytes.
pub(crate) const REQUEST: &[u8] = b"GET /assets/app/main.4f9a1c.js?v=20240117 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: */*\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://www.example.com/catalogue/\r\n\
Cookie: theme=dark; lang=en; visit=7d1f0b6c2a914e38\r\n\
Sec-Fetch-Mode: no-cors\r\n\
\r\n";

/// An application's response, about 250 bytes.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: gunicorn/20.1.0\r\n\
Date: Wed, 17 Jan 2024 09:30:00 GMT\r\n\
Content-Type: text/javascript; charset=utf-8\r\n\
Content-Length: 100\r\n\
Cache-Control: public, max-age=3600\r\n\
ETag: \"5f3a91c0d27e\"\r\n\
Vary: Accept-Encoding\r\n\
Connection: keep-alive\r\n\
\r\n";

/// The request, read.
pub(crate) fn request() -> RequestHead {
    let mut head = RequestHead::default();
    read_request(&mut head);
    head
}

/// Reads the request into memory that was used before.
pub(crate) fn read_request(head: &mut RequestHead) {
    let read = head.read(
        std::hint::black_box(REQUEST),
        &mut Scan::default(),
        &Limits::default(),
    );
    assert_eq!(read, Ok(Some(REQUEST.len())), "the request is in order");
}

/// Reads the response into memory that was used before.
pub(crate) fn read_response(head: &mut ResponseHead) {
    let read = head.read(
        std::hint::black_box(RESPONSE),
        &mut Scan::default(),
        &Limits::default(),
    );
    assert_eq!(read, Ok(Some(RESPONSE.len())), "the response is in order");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heads_are_as_long_as_they_are_said_to_be() {
        assert!((390..=410).contains(&REQUEST.len()), "{}", REQUEST.len());
        assert!((240..=260).contains(&RESPONSE.len()), "{}", RESPONSE.len());
    }
}
