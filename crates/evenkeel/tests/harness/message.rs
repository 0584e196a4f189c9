//! A request or response as it was on the wire.

/// How a body's end was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// One message, taken apart but not interpreted.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) line: String,
    /// Names as sent, and values.
    pub(crate) fields: Vec<(String, String)>,
    /// The body, decoded from its chunks.
    pub(crate) body: Vec<u8>,
    /// Fields behind the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
    /// How the body ended, or should have.
    pub(crate) framing: Framing,
    /// Whether the body came to its proper end.
    pub(crate) complete: bool,
    /// 1xx responses that came before.
    pub(crate) interim: Vec<Message>,
}

impl Message {
    /// Takes a head apart (without the empty line).
    pub(crate) fn parse(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head).into_owned();
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        Self {
            line,
            fields: fields(lines),
            body: Vec::new(),
            trailers: Vec::new(),
            framing: Framing::None,
            complete: true,
            interim: Vec::new(),
        }
    }

    /// A response's status.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        self.line
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status: {:?}", self.line))
    }

    /// A request's method.
    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// A request's target.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The first field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of a name, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether `Connection` has this member.
    pub(crate) fn connection_says(&self, member: &str) -> bool {
        self.all("connection")
            .flat_map(|value| value.split(','))
            .any(|said| said.trim().eq_ignore_ascii_case(member))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Field lines, up to the first empty one.
pub(crate) fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no field: {line:?}"));
            (name.to_owned(), value.trim().to_owned())
        })
        .collect()
}
