//! What a peer that does not speak HTTP/1 speaks instead, judged from its first bytes.

/// Most first bytes that a judgement needs.
pub(crate) const EVIDENCE_BYTES: usize = 9;

/// Another protocol, and the evidence it is told by. The pieces of evidence exclude each other, so
/// the judgement does not depend on how the bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A TLS record: type 0x15 (alert, the usual answer to plain text) or 0x16 (handshake), major
    /// version 3, minor version 1 to 4.
    Tls,
    /// An HTTP/2 SETTINGS frame, with which every HTTP/2 server begins: a length below 65,536
    /// that is a multiple of 6, type 4, no flag but ACK, stream 0.
    Http2,
    /// A FastCGI record: version 1, type 3 (end of request), 6 (standard output) or 7 (standard error).
    FastCgi,
    /// A uwsgi packet: modifier 0, a size, modifier 0, and a first key in capital letters. (Most
    /// uwsgi servers close without a word when they are sent HTTP; that leaves no bytes to judge.)
    Uwsgi,
    /// What a SOCKS server says to what is no SOCKS: version 5 and "no acceptable methods" (RFC 1928), or the
    /// older eight bytes that begin with 0 and 91.
    Socks,
    /// `PROXY ` or the signature of version 2: the header of the PROXY protocol, with which its sender begins.
    ProxyHeader,
    /// `SSH-`, the identification string of RFC 4253.
    Ssh,
    /// `220 ` or `220-`, the greeting of SMTP and FTP servers alike.
    SmtpOrFtp,
    /// `-ERR`, `-NOAU` or `-DENI`: the errors Redis gives to what is no command.
    Redis,
    /// A packet with sequence number 0 that begins with protocol version 10 and a digit of the
    /// server's version, or with 0xff and an error's code: the greeting of MySQL and MariaDB.
    MySql,
    /// An ErrorResponse: `E`, a length below 64 KiB and the severity field `S`; or the older
    /// `EFATAL`, `EERROR`.
    Postgres,
    /// None of these.
    Unknown,
}

impl Protocol {
    /// Judges by the first bytes, at most nine of which are looked at; with fewer the answer may
    /// still be [`Protocol::Unknown`].
    #[must_use]
    pub fn judge(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(EVIDENCE_BYTES)];
        match *bytes {
            [0x15 | 0x16, 3, 1..=4, ..] => Self::Tls,
            [5, 0xff, ..] | [0, 91, 0, 0, 0, 0, 0, 0, ..] => Self::Socks,
            [0, high, low, 4, 0 | 1, 0, 0, 0, 0] if u16::from_be_bytes([high, low]) % 6 == 0 => Self::Http2,
            [1, 3 | 6 | 7, _, _, _, _, _, _, ..] => Self::FastCgi,
            [0, _, _, 0, 1..=255, 0, b'A'..=b'Z', b'A'..=b'Z' | b'_', ..] => Self::Uwsgi,
            [2..=255, _, 0, 0, 10, b'0'..=b'9', ..] => Self::MySql,
            [2..=255, _, 0, 0, 0xff, code, ..] if code != b'S' => Self::MySql,
            [b'E', 0, 0, _, _, b'S', ..] => Self::Postgres,
            _ => Self::judge_text(bytes),
        }
    }

    fn judge_text(bytes: &[u8]) -> Self {
        let greetings: [(&[u8], Self); 10] = [
            (b"PROXY ", Self::ProxyHeader),
            (b"\r\n\r\n\0\r\nQU", Self::ProxyHeader),
            (b"SSH-", Self::Ssh),
            (b"220 ", Self::SmtpOrFtp),
            (b"220-", Self::SmtpOrFtp),
            (b"-ERR", Self::Redis),
            (b"-NOAU", Self::Redis),
            (b"-DENI", Self::Redis),
            (b"EFATAL", Self::Postgres),
            (b"EERROR", Self::Postgres),
        ];
        let known = greetings
            .into_iter()
            .find(|(greeting, _)| bytes.starts_with(greeting));
        known.map_or(Self::Unknown, |(_, protocol)| protocol)
    }

    /// Its name, for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Http2 => "HTTP/2",
            Self::FastCgi => "FastCGI",
            Self::Uwsgi => "uwsgi",
            Self::Socks => "SOCKS",
            Self::ProxyHeader => "the PROXY protocol",
            Self::Ssh => "SSH",
            Self::SmtpOrFtp => "SMTP or FTP",
            Self::Redis => "Redis",
            Self::MySql => "MySQL",
            Self::Postgres => "PostgreSQL",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Tls => "The peer speaks TLS, not plain HTTP.",
            Self::Http2 => "The peer speaks HTTP/2 only, not HTTP/1.",
            Self::FastCgi => "The peer speaks FastCGI, not HTTP.",
            Self::Uwsgi => "The peer speaks the uwsgi protocol, not HTTP.",
            Self::Socks => "The peer is a SOCKS proxy, not an HTTP server.",
            Self::ProxyHeader => "The peer begins with a PROXY protocol header, not with HTTP.",
            Self::Ssh => "The peer is an SSH server, not an HTTP server.",
            Self::SmtpOrFtp => "The peer greets like a mail or FTP server, not an HTTP server.",
            Self::Redis => "The peer is a Redis server, not an HTTP server.",
            Self::MySql => "The peer is a MySQL server, not an HTTP server.",
            Self::Postgres => "The peer is a PostgreSQL server, not an HTTP server.",
            Self::Unknown => "The peer does not speak HTTP/1.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bytes_never_change_a_judgement() {
        // Every byte that some evidence tests, in every place.
        let telling = *b"\x00\x01\x03\x04\x06\x0a\x15\x16\xff20ESA- ";
        let mut seed = 1_u64;
        for _ in 0..300_000 {
            let bytes: [u8; EVIDENCE_BYTES] = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                telling[(seed >> 60) as usize]
            });
            let judged = Protocol::judge(&bytes);
            for end in 0..bytes.len() {
                let early = Protocol::judge(&bytes[..end]);
                assert!(
                    early == Protocol::Unknown || early == judged,
                    "{}",
                    bytes.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn each_protocol_is_named_by_its_first_bytes_and_by_no_fewer_than_it_needs() {
        let cases: [(&[u8], Protocol); 22] = [
            (b"\x15\x03\x03\x00\x02\x02\x28", Protocol::Tls),
            (b"\x16\x03\x01\x02\x00\x01", Protocol::Tls),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", Protocol::Http2),
            (b"\x00\x00\x00\x04\x01\x00\x00\x00\x00", Protocol::Http2),
            (b"\x01\x06\x00\x01\x00\x20\x00\x00St", Protocol::FastCgi),
            (b"\x01\x03\x00\x01\x00\x08\x00\x00\x00", Protocol::FastCgi),
            (b"\x00\x1c\x01\x00\x0e\x00REQUEST_METHOD", Protocol::Uwsgi),
            (b"\x05\xff", Protocol::Socks),
            (b"\x00\x5b\x00\x00\x00\x00\x00\x00", Protocol::Socks),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n", Protocol::ProxyHeader),
            (b"\r\n\r\n\x00\r\nQUIT\n", Protocol::ProxyHeader),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Protocol::Ssh),
            (b"220 mail.example ESMTP\r\n", Protocol::SmtpOrFtp),
            (b"220-welcome\r\n", Protocol::SmtpOrFtp),
            (b"-ERR unknown command\r\n", Protocol::Redis),
            (b"J\x00\x00\x00\x0a8.0.36\x00", Protocol::MySql),
            (b"E\x00\x00\x00\x0a8.0.36", Protocol::MySql),
            (b"J\x00\x00\x00\xff\x6a\x04Host", Protocol::MySql),
            (b"E\x00\x00\x00\x5cSFATAL\x00", Protocol::Postgres),
            (b"E\x00\x00\x00\xffSFATAL\x00", Protocol::Postgres),
            (b"EFATAL:  unsupported\x00", Protocol::Postgres),
            (b"<html>oops", Protocol::Unknown),
        ];
        for (bytes, protocol) in cases {
            assert_eq!(Protocol::judge(bytes), protocol, "{}", bytes.escape_ascii());
            for end in 0..bytes.len() {
                let early = Protocol::judge(&bytes[..end]);
                assert!(
                    early == Protocol::Unknown || early == protocol,
                    "{}",
                    bytes[..end].escape_ascii()
                );
            }
        }
    }
}
