//! A request's head as routing, limits and filters see it: as it is forwarded.

use std::borrow::Cow;
use std::net::SocketAddr;

use policy::filter::{Facts, Field, HeadEdit, Shape, Variable, Whose};
use policy::route::RequestView;
use wire::field::{Fields, Known};
use wire::h1::head::{Method, RequestHead, ResponseHead, Version};
use wire::hop;
use wire::text::{push_decimal, push_ip, push_socket};

use crate::exchange::forward::Origin;

/// What routing looks at: the head, and the target in its one normal form.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// Whether it asks for an upgrade, which is passed on.
    pub(crate) upgrade: bool,
}

/// A field's value as the endpoint gets it, several fields of the name joined by `,`. Of the fields that
/// end at this hop there are those that are stated anew.
pub(crate) fn forwarded<'a>(fields: &'a Fields, upgrade: bool, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let stated = |said: bool, value: &'static [u8]| said.then_some(Cow::Borrowed(value));
    match Known::of(name) {
        Known::Connection => stated(upgrade, b"upgrade"),
        Known::Te => stated(hop::accepts_trailers(fields), b"trailers"),
        Known::Upgrade if upgrade => fields.joined(name),
        known if hop::ends_here(known) => None,
        _ => fields.joined(name),
    }
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.head.method_text()
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        forwarded(&self.head.fields, self.upgrade, name.as_bytes())
    }

    fn preflight(&self) -> Option<&str> {
        let fields = &self.head.fields;
        if self.head.method != Method::Options || !fields.has(Known::Origin) {
            return None;
        }
        std::str::from_utf8(fields.get_named(b"access-control-request-method")?).ok()
    }
}

/// What filters know of a message apart from its head.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) origin: &'a Origin,
    /// The host that was asked for.
    pub(crate) authority: &'a str,
    pub(crate) route: &'a str,
}

impl Circumstances<'_> {
    fn write(&self, variable: &Variable, request: &RequestHead, out: &mut Vec<u8>) {
        match variable {
            Variable::Address(whose, shape) => self.write_address(*whose, *shape, out),
            Variable::Request(field) => write_field(field, out, |name| match name {
                ":method" => Some(Cow::Borrowed(request.method_text().as_bytes())),
                ":path" => Some(Cow::Borrowed(request.target().as_bytes())),
                ":authority" => Some(Cow::Borrowed(self.authority.as_bytes())),
                ":scheme" => Some(Cow::Borrowed(self.origin.scheme.as_bytes())),
                name => request.fields.joined(name.as_bytes()),
            }),
            Variable::Protocol => out.extend_from_slice(match request.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
            }),
            Variable::RouteName => out.extend_from_slice(self.route.as_bytes()),
            Variable::Response(_) | Variable::ResponseCode => {}
        }
    }

    fn write_address(&self, whose: Whose, shape: Shape, out: &mut Vec<u8>) {
        let address = match whose {
            // Of a client behind a proxy the port is not known.
            Whose::Client if self.origin.address != self.peer.ip().to_canonical() => {
                SocketAddr::new(self.origin.address, 0)
            }
            Whose::Client | Whose::Peer => self.peer,
            Whose::Local => self.local,
        };
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match shape {
            Shape::WithPort => push_socket(out, &address),
            Shape::WithoutPort => push_ip(out, address.ip()),
            Shape::Port => push_decimal(out, u64::from(address.port())),
        }
    }
}

fn write_field<'a>(field: &Field, out: &mut Vec<u8>, value: impl Fn(&str) -> Option<Cow<'a, [u8]>>) {
    let found = value(&field.name).or_else(|| value(field.or.as_deref()?));
    if let Some(found) = found {
        let most = field.most.unwrap_or(usize::MAX).min(found.len());
        out.extend_from_slice(&found[..most]);
    }
}

/// A request's head that a filter edits. What a server may read as a name that is replaced or removed
/// goes with it: a client must not get round an owner's word by another spelling.
pub(crate) struct EditableRequest<'a> {
    pub(crate) head: &'a mut RequestHead,
    pub(crate) known: Circumstances<'a>,
}

impl Facts for EditableRequest<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) {
        self.known.write(variable, self.head, out);
    }
}

impl HeadEdit for EditableRequest<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.head.fields.remove_aliases(name.as_bytes());
        self.head.fields.set(name.as_bytes(), value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.head.fields.push(name.as_bytes(), value);
    }

    fn remove(&mut self, name: &str) {
        self.head.fields.remove_aliases(name.as_bytes());
        self.head.fields.remove_named(name.as_bytes());
    }
}

/// A response's head that a filter edits, with the request that it answers.
pub(crate) struct EditableResponse<'a> {
    pub(crate) head: &'a mut ResponseHead,
    pub(crate) request: &'a RequestHead,
    pub(crate) known: Option<Circumstances<'a>>,
}

impl Facts for EditableResponse<'_> {
    fn write(&self, variable: &Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Response(field) => {
                write_field(field, out, |name| self.head.fields.joined(name.as_bytes()));
            }
            Variable::ResponseCode => push_decimal(out, u64::from(self.head.status)),
            variable => {
                if let Some(known) = &self.known {
                    known.write(variable, self.request, out);
                }
            }
        }
    }
}

impl HeadEdit for EditableResponse<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.head.fields.set(name.as_bytes(), value);
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        self.head.fields.push(name.as_bytes(), value);
    }

    fn remove(&mut self, name: &str) {
        self.head.fields.remove_named(name.as_bytes());
    }
}
