//! The resources as read, for whoever asks what is in force.

use std::sync::Arc;

use crate::Source;
use crate::mistake::Report;
use crate::node::Node;
use crate::text;

/// The resources as read. Their text is what is kept: ten thousand routes as trees would weigh many
/// times as much, and be made at every reload for someone who hardly ever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    sources: Arc<[Source]>,
}

impl Dump {
    /// What these sources, which have been read without a mistake, hold.
    pub(crate) fn new(sources: Arc<[Source]>) -> Self {
        Self { sources }
    }

    /// An array of the resources, in the order read. Reads them again, so it takes as long as that did.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut report = Report::new(self.sources.clone());
        let documents = text::parse_all(&self.sources, &mut report);
        documents.iter().map(Node::to_json).collect()
    }
}
