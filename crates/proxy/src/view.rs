//! A request's head as routing and filters see it.

use std::borrow::Cow;

use policy::filter::HeadEdit;
use policy::route::RequestView;
use wire::field::Fields;
use wire::h1::head::RequestHead;

/// What routing looks at: the head, and the target in its one normal form.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
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
