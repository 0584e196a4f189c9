//! A request's head as routing, limits and filters see it: as it is forwarded.

use std::borrow::Cow;

use policy::filter::HeadEdit;
use policy::route::RequestView;
use wire::field::{Fields, Known};
use wire::h1::head::{Method, RequestHead};
use wire::hop;

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

/// Fields of a request that a filter edits. What a server may read as a name that is replaced or removed
/// goes with it: a client must not get round an owner's word by another spelling.
pub(crate) struct EditableRequest<'a>(pub(crate) &'a mut Fields);

impl HeadEdit for EditableRequest<'_> {
    fn set(&mut self, name: &str, value: &str) {
        self.0.remove_aliases(name.as_bytes());
        self.0.set(name.as_bytes(), value.as_bytes());
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.push(name.as_bytes(), value.as_bytes());
    }

    fn remove(&mut self, name: &str) {
        self.0.remove_aliases(name.as_bytes());
        self.0.remove_named(name.as_bytes());
    }
}

/// Fields of a response that a filter edits.
pub(crate) struct Editable<'a>(pub(crate) &'a mut Fields);

impl HeadEdit for Editable<'_> {
    fn set(&mut self, name: &str, value: &str) {
        self.0.set(name.as_bytes(), value.as_bytes());
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.push(name.as_bytes(), value.as_bytes());
    }

    fn remove(&mut self, name: &str) {
        self.0.remove_named(name.as_bytes());
    }
}
