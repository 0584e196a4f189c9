//! A request's head as routing and filters see it.

use std::borrow::Cow;

use policy::filter::HeadEdit;
use policy::route::RequestView;
use wire::field::Fields;
use wire::h1::head::RequestHead;
use wire::path::Target;

/// What routing looks at: the head, and the host and target in their one normal form.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) host: Cow<'a, str>,
    pub(crate) target: &'a Target<'a>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.head.method_text()
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.target.path
    }

    fn query(&self) -> Option<&str> {
        self.target.query
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.head.fields.joined(name.as_bytes())
    }
}

/// Fields that a filter edits.
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
