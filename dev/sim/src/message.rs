//! As much HTTP/1.1 as clients and endpoints of a world speak.

/// What a client asks for. All of it is in the request's head: whoever reads it knows what the body
/// and the answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Unique in its world.
    pub(crate) id: u64,
    /// Of which cluster it is routed to.
    pub(crate) cluster: usize,
    pub(crate) method: Method,
    /// Bytes of its body.
    pub(crate) body: usize,
    /// Bytes of the answer's body.
    pub(crate) answer: usize,
}

/// A method, by what a proxy may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Put,
    /// Not idempotent: never applied twice.
    Post,
}

impl Method {
    const ALL: [(Self, &str); 3] = [(Self::Get, "GET"), (Self::Put, "PUT"), (Self::Post, "POST")];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(method, _)| *method == self)
            .map_or("", |(_, name)| name)
    }
}

/// The bytes of a body that belongs to `id`: another's would be noticed.
pub(crate) fn body(id: u64, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (id.wrapping_mul(31) as usize + at) as u8)
        .collect()
}

/// How a body's length is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
}

impl Request {
    pub(crate) fn encode(&self, framing: Framing) -> Vec<u8> {
        let Self {
            id,
            cluster,
            method,
            body: length,
            answer,
        } = self;
        let mut out = format!(
            "{} /{cluster}/{id}/{length}/{answer} HTTP/1.1\r\nhost: world\r\n",
            method.name()
        )
        .into_bytes();
        if *method == Method::Get {
            out.extend_from_slice(b"\r\n");
        } else {
            encode_body(&mut out, &body(*id, *length), framing);
        }
        out
    }

    /// Reads a request that is whole; says how long it was.
    ///
    /// # Panics
    /// It is none, or its body is not its own: the proxy garbled it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let head = Head::decode(bytes)?;
        let mut words = head.first_line.split(' ');
        let method = words.next().unwrap_or_default();
        let known = Method::ALL.into_iter().find(|(_, name)| *name == method);
        let (method, _) = known.expect("a method of this world");
        let target: Vec<u64> = words.next()?[1..]
            .split('/')
            .map(|number| number.parse().expect("a target of this world"))
            .collect();
        let request = Self {
            cluster: target[0] as usize,
            id: target[1],
            method,
            body: target[2] as usize,
            answer: target[3] as usize,
        };
        let (content, length) = head.body(bytes)?;
        assert!(
            method == Method::Get || content == body(request.id, request.body),
            "{request:?} came with another body"
        );
        Some((request, length))
    }
}

/// Appends the fields that frame `body`, the head's end, and `body`.
pub(crate) fn encode_body(out: &mut Vec<u8>, body: &[u8], framing: Framing) {
    match framing {
        Framing::Length => {
            out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            out.extend_from_slice(body);
        }
        Framing::Chunked => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in body.chunks(4000) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// A head, as text.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) first_line: &'a str,
    fields: &'a str,
    length: usize,
}

impl<'a> Head<'a> {
    /// The head at the beginning of `bytes`, if it is whole.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = std::str::from_utf8(&bytes[..length - 2]).expect("heads of a world are text");
        let (first_line, fields) = text.split_once("\r\n")?;
        Some(Self {
            first_line,
            fields,
            length,
        })
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&'a str> {
        let mut fields = self.fields.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The body behind the head in `bytes`, and where it ends; `None` while it is not whole.
    pub(crate) fn body(&self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        if self.field("transfer-encoding").is_none() {
            let length = self
                .field("content-length")
                .map_or(0, |text| text.parse::<usize>().expect("a length of this world"));
            let body = bytes.get(self.length..self.length + length)?;
            return Some((body.to_vec(), self.length + length));
        }
        let (mut body, mut at) = (Vec::new(), self.length);
        loop {
            let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
            let size = std::str::from_utf8(&bytes[at..at + line]).expect("a chunk's size");
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            let begin = at + line + 2;
            body.extend_from_slice(bytes.get(begin..begin + size)?);
            at = begin + size + 2;
            if bytes.len() < at {
                return None;
            }
            if size == 0 {
                return Some((body, at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_not_before_it_is_whole() {
        for (method, framing) in [
            (Method::Get, Framing::Length),
            (Method::Put, Framing::Length),
            (Method::Post, Framing::Chunked),
        ] {
            let request = Request {
                id: 7,
                cluster: 1,
                method,
                body: 9000,
                answer: 5,
            };
            let bytes = request.encode(framing);
            assert_eq!(Request::decode(&bytes), Some((request, bytes.len())));
            assert_eq!(Request::decode(&bytes[..bytes.len() - 1]), None);
        }
    }
}
