//! How much a peer may send.

/// Limits on what a peer may send. Each names its consequence in [`HeadError`](super::head::HeadError) or
/// [`DecodeError`](super::decode::DecodeError).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line and fields together. Default 60 KiB, as Envoy. Never above 2 GiB.
    pub head_bytes: usize,
    /// Number of fields. Default 100, as Envoy.
    pub fields: usize,
    /// Request line without its CRLF. Default 16 KiB.
    pub request_line: usize,
    /// Extensions of one chunk. Default 256 bytes; they are dropped, not forwarded.
    pub chunk_extension: usize,
    /// Trailer section. Default 8 KiB, and at most `fields` of them.
    pub trailer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 60 * 1024,
            fields: 100,
            request_line: 16 * 1024,
            chunk_extension: 256,
            trailer_bytes: 8 * 1024,
        }
    }
}
