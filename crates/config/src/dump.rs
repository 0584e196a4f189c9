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
        documents.iter().map(Node::to_json).map(without_secrets).collect()
    }
}

/// What is in a Secret is shown to nobody; its names are.
fn without_secrets(mut resource: serde_json::Value) -> serde_json::Value {
    if resource["kind"] == "Secret" {
        // `kubectl apply` keeps a copy of the whole resource in an annotation.
        if let Some(annotations) = resource["metadata"].get_mut("annotations") {
            *annotations = "[redacted]".into();
        }
        for part in ["data", "stringData"] {
            let texts = resource.get_mut(part).and_then(serde_json::Value::as_object_mut);
            texts
                .into_iter()
                .flat_map(|texts| texts.values_mut())
                .for_each(|text| *text = "[redacted]".into());
        }
    }
    // A list of resources, as `kubectl get -o yaml` writes it.
    if let Some(items) = resource
        .get_mut("items")
        .and_then(serde_json::Value::as_array_mut)
    {
        items
            .iter_mut()
            .for_each(|item| *item = without_secrets(item.take()));
    }
    resource
}
