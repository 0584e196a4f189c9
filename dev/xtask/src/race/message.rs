//! As much HTTP/1.1 as the lab's own client and backend speak with one another through a proxy.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection with what was read of it and not yet understood.
pub(crate) struct Wired {
    /// The socket.
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A message's head.
pub(crate) struct Head {
    /// Its first line.
    pub(crate) start: String,
    fields: Vec<(String, String)>,
}

/// What a body was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Bytes.
    pub(crate) bytes: usize,
    /// FNV-1a of all of them.
    pub(crate) sum: u64,
    /// The first of them.
    pub(crate) text: Vec<u8>,
}

/// Where a body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

impl Wired {
    /// Wraps a connected socket.
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it the kernel may hold small requests back, and the aim with them.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Whether bytes wait that were read already.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reads a head; `None` at an end of the connection before its first byte.
    ///
    /// # Errors
    /// The socket's, an end in the middle, or what is not HTTP.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = Head::parse(&self.unread[..end]).ok_or_else(malformed)?;
                self.unread.drain(..end + 4);
                return Ok(Some(head));
            }
            if self.unread.len() > HEAD_BYTES_MAX {
                return Err(malformed());
            }
            if self.fill().await? == 0 {
                return if self.unread.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// The socket's, an end in the middle, or what is not HTTP.
    pub(crate) async fn request_body(&mut self, head: &Head) -> io::Result<Digest> {
        self.body(head.framing(Framing::Length(0))?).await
    }

    /// Reads the body of a response.
    ///
    /// # Errors
    /// The socket's, an end in the middle, or what is not HTTP.
    pub(crate) async fn response_body(&mut self, head: &Head) -> io::Result<Digest> {
        let bodiless = matches!(head.status(), Some(100..=199 | 204 | 304));
        self.body(head.framing(if bodiless {
            Framing::Length(0)
        } else {
            Framing::Close
        })?)
        .await
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads and discards until the peer ends the connection, or for `limit` at most.
    pub(crate) async fn drain(mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, async {
            while self.fill().await.is_ok_and(|bytes| bytes > 0) {
                self.unread.clear();
            }
        })
        .await;
    }

    async fn body(&mut self, framing: Framing) -> io::Result<Digest> {
        let mut digest = Digest {
            sum: FNV_OFFSET,
            ..Digest::default()
        };
        match framing {
            Framing::Length(bytes) => self.take(bytes, &mut digest).await?,
            Framing::Close => loop {
                let unread = std::mem::take(&mut self.unread);
                digest.add(&unread);
                if self.fill().await? == 0 {
                    break;
                }
            },
            Framing::Chunked => loop {
                let line = self.line().await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(|_| malformed())?;
                self.take(size, &mut digest).await?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                if !self.line().await?.is_empty() {
                    return Err(malformed());
                }
            },
        }
        Ok(digest)
    }

    async fn take(&mut self, mut bytes: usize, digest: &mut Digest) -> io::Result<()> {
        while bytes > 0 {
            if self.unread.is_empty() && self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let here = bytes.min(self.unread.len());
            digest.add(&self.unread[..here]);
            self.unread.drain(..here);
            bytes -= here;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8(self.unread[..end].to_vec()).map_err(|_| malformed())?;
                self.unread.drain(..end + 2);
                return Ok(line);
            }
            if self.unread.len() > HEAD_BYTES_MAX {
                return Err(malformed());
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.unread.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.unread).await
    }
}

impl Head {
    /// The value of a field, its first if there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A response's status.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// Whether the sender will close the connection after this message.
    pub(crate) fn closes(&self) -> bool {
        let connection = self.field("connection").unwrap_or_default().to_ascii_lowercase();
        connection.contains("close")
            || (self.start.starts_with("HTTP/1.0") && !connection.contains("keep-alive"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split("\r\n");
        let start = lines.next()?.to_owned();
        let field = |line: &str| {
            line.split_once(':')
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        Some(Self {
            start,
            fields: lines.map(field).collect::<Option<_>>()?,
        })
    }

    fn framing(&self, otherwise: Framing) -> io::Result<Framing> {
        if self
            .field("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return Ok(Framing::Chunked);
        }
        let Some(length) = self.field("content-length") else {
            return Ok(otherwise);
        };
        length.parse().map(Framing::Length).map_err(|_| malformed())
    }
}

impl Digest {
    /// The digest of a body that is known whole.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digest = Self {
            sum: FNV_OFFSET,
            ..Self::default()
        };
        digest.add(bytes);
        digest
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = TEXT_BYTES_MAX.saturating_sub(self.text.len()).min(bytes.len());
        self.text.extend_from_slice(&bytes[..room]);
        self.bytes += bytes.len();
        self.sum = bytes.iter().fold(self.sum, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
        });
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not HTTP/1.1")
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 32 * 1024;
const TEXT_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (Wired, Wired) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Wired::new(near), Wired::new(listener.accept().await.unwrap().0))
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_chunked_body_has_the_digest_of_the_plain_one() {
        runtime().block_on(async {
            let (mut near, mut far) = pair().await;
            near.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nGET ")
                .await
                .unwrap();
            let head = far.head().await.unwrap().unwrap();
            assert_eq!(far.request_body(&head).await.unwrap(), Digest::of(b"abcde"));
            assert!(far.has_unread());
        });
    }

    #[test]
    fn a_connection_that_ends_inside_a_body_is_an_error_and_before_a_head_is_none() {
        runtime().block_on(async {
            let (mut near, mut far) = pair().await;
            near.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
                .await
                .unwrap();
            drop(near);
            let head = far.head().await.unwrap().unwrap();
            assert_eq!(head.status(), Some(200));
            assert_eq!(
                far.response_body(&head).await.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
            far.unread.clear();
            assert!(far.head().await.unwrap().is_none());
        });
    }
}
