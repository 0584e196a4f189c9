//! Values of header filters: texts with variables in them, by the names of Envoy's command operators.
//!
//! Read once, with the configuration; rendering copies text and asks the shell for each variable.

use std::fmt::Write as _;

/// A value that a filter sets or adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue {
    /// Parts in order. One text alone for nearly all.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// What stands for something that is known with the request or response only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// An address of the client's connection.
    Address(Whose, Shape),
    /// `%REQ(...)%`: a field of the request, or `:method`, `:path`, `:authority`, `:scheme`.
    Request(Field),
    /// `%RESP(...)%`: a field of the response.
    Response(Field),
    /// `%PROTOCOL%`: the version in which the request came.
    Protocol,
    /// `%ROUTE_NAME%`.
    RouteName,
    /// `%RESPONSE_CODE%`: the response's status.
    ResponseCode,
}

/// Whose address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The client's, as far as it is believed (`DOWNSTREAM_REMOTE_`).
    Client,
    /// That of the connection's other end (`DOWNSTREAM_DIRECT_REMOTE_`).
    Peer,
    /// Ours (`DOWNSTREAM_LOCAL_`).
    Local,
}

/// How an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `ADDRESS`: with its port, 0 where none is known.
    WithPort,
    /// `ADDRESS_WITHOUT_PORT`.
    WithoutPort,
    /// `PORT`.
    Port,
}

/// A field by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in lower case.
    pub name: String,
    /// Another one, where there is no field of the first name.
    pub or: Option<String>,
    /// Most bytes of the value; the rest is cut off.
    pub most: Option<usize>,
}

/// What is known of a message and its client when a filter edits it.
pub trait Facts {
    /// Appends what the variable stands for; nothing where it is not known.
    fn write(&self, variable: &Variable, out: &mut Vec<u8>);
}

/// Why a value is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// The byte at which it goes wrong.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl HeaderValue {
    /// Reads a value. `in_response`: whether it is one of a response, of which more is known.
    ///
    /// # Errors
    /// A `%` that begins no variable, or one that does not exist here.
    pub fn read(text: &str, in_response: bool) -> Result<Self, BadValue> {
        let (mut parts, mut plain, mut at) = (Vec::new(), String::new(), 0);
        while let Some(percent) = text[at..].find('%') {
            plain.push_str(&text[at..at + percent]);
            at += percent + 1;
            if text[at..].starts_with('%') {
                plain.push('%');
                at += 1;
                continue;
            }
            let (variable, len) = variable(&text[at..], in_response).map_err(|(message, help)| BadValue {
                at: at - 1,
                message,
                help,
            })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Variable(variable));
            at += len;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The value, if it is a text alone.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the value for a message.
    pub fn render(&self, facts: &impl Facts, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => facts.write(variable, out),
            }
        }
    }
}

/// A text that stands for itself, whatever is in it.
impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self {
            parts: vec![Part::Text(text)],
        }
    }
}

/// The variable at the start of `text`, behind its `%`, and how long it is with its end.
fn variable(text: &str, in_response: bool) -> Result<(Variable, usize), (String, String)> {
    let name_len = text
        .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_len);
    let literal = || "write `%%` for a percent sign".to_owned();
    if name.is_empty() {
        return Err(("a `%` begins no variable here".to_owned(), literal()));
    }
    let unclosed = || (format!("`%{name}` has no `%` at its end"), literal());
    let takes_field = matches!(name, "REQ" | "RESP");
    if !takes_field {
        let known = simple(name).ok_or_else(|| unknown(name))?;
        if known == Variable::ResponseCode && !in_response {
            return Err(too_early(name));
        }
        return match rest.strip_prefix('%') {
            Some(_) => Ok((known, name_len + 1)),
            None if rest.starts_with('(') => Err((
                format!("`{name}` takes nothing in brackets"),
                format!("write `%{name}%`"),
            )),
            None => Err(unclosed()),
        };
    }
    let example = format!("write `%{name}(X-Name)%`, `%{name}(X-Name?X-Other)%` or `%{name}(X-Name):20%`");
    let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let Some((names, rest)) = inside else {
        return Err((format!("`%{name}` names no field"), example));
    };
    let (most, rest) = rest.split_once('%').ok_or_else(unclosed)?;
    let field = field(names, most).ok_or_else(|| (format!("`({names}){most}` is no field"), example))?;
    let pseudo =
        |name: &str| name.starts_with(':') && !matches!(name, ":method" | ":path" | ":authority" | ":scheme");
    if pseudo(&field.name) || field.or.as_deref().is_some_and(pseudo) {
        let message = format!("`({names})` is no field");
        return Err((
            message,
            "there are `:method`, `:path`, `:authority` and `:scheme`".to_owned(),
        ));
    }
    let len = text.len() - rest.len();
    match name {
        "REQ" => Ok((Variable::Request(field), len)),
        _ if in_response => Ok((Variable::Response(field), len)),
        _ => Err(too_early(name)),
    }
}

fn field(names: &str, most: &str) -> Option<Field> {
    let (name, or) = match names.split_once('?') {
        Some((name, or)) => (name, Some(or)),
        None => (names, None),
    };
    let is_name = |name: &str| {
        let rest = name.strip_prefix(':').unwrap_or(name);
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
        !rest.is_empty() && rest.bytes().all(letter)
    };
    let most = match most.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok().filter(|&most: &usize| most > 0)?),
        None if most.is_empty() => None,
        None => return None,
    };
    (is_name(name) && or.is_none_or(is_name)).then(|| Field {
        name: name.to_ascii_lowercase(),
        or: or.map(str::to_ascii_lowercase),
        most,
    })
}

fn simple(name: &str) -> Option<Variable> {
    let of = |(text, variable): &(&str, Variable)| (*text == name).then(|| variable.clone());
    SIMPLE.iter().find_map(of)
}

const SIMPLE: [(&str, Variable); 12] = [
    (
        "DOWNSTREAM_REMOTE_ADDRESS",
        Variable::Address(Whose::Client, Shape::WithPort),
    ),
    (
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        Variable::Address(Whose::Client, Shape::WithoutPort),
    ),
    (
        "DOWNSTREAM_REMOTE_PORT",
        Variable::Address(Whose::Client, Shape::Port),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        Variable::Address(Whose::Peer, Shape::WithPort),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        Variable::Address(Whose::Peer, Shape::WithoutPort),
    ),
    (
        "DOWNSTREAM_DIRECT_REMOTE_PORT",
        Variable::Address(Whose::Peer, Shape::Port),
    ),
    (
        "DOWNSTREAM_LOCAL_ADDRESS",
        Variable::Address(Whose::Local, Shape::WithPort),
    ),
    (
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        Variable::Address(Whose::Local, Shape::WithoutPort),
    ),
    (
        "DOWNSTREAM_LOCAL_PORT",
        Variable::Address(Whose::Local, Shape::Port),
    ),
    ("PROTOCOL", Variable::Protocol),
    ("ROUTE_NAME", Variable::RouteName),
    ("RESPONSE_CODE", Variable::ResponseCode),
];

fn unknown(name: &str) -> (String, String) {
    let mut help = "there are `REQ(X-Name)`, `RESP(X-Name)`".to_owned();
    for (known, _) in SIMPLE {
        let _ = write!(help, ", `{known}`");
    }
    (
        format!("there is no variable `%{name}%`"),
        format!("{help}; write `%%` for a percent sign"),
    )
}

fn too_early(name: &str) -> (String, String) {
    (
        format!("`%{name}%` is not known yet when a request is sent on"),
        "use it in a `ResponseHeaderModifier`".to_owned(),
    )
}
