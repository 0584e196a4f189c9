//! Which resources there are: their kinds, names, and the mistakes that can be seen in one alone.

use std::collections::BTreeMap;

use crate::ReadOptions;
use crate::mistake::{Code, Report};
use crate::node::{Node, Spot, entry};
use crate::shape::check::{check_object, listed};
use crate::shape::{ENVOY_GROUP, KindShape, ResourceKind};
use crate::suggest::nearest;

use super::identify::{Foreign, flat, identify};
use super::retry::Words;
use super::view::View;

/// One resource, held against its shape.
#[derive(Debug)]
pub(crate) struct Resource<'a> {
    pub(crate) kind: ResourceKind,
    /// The value of `kind`.
    pub(crate) kind_name: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Where it is named.
    pub(crate) spot: Spot,
    /// `metadata.creationTimestamp`, where Kubernetes wrote one.
    pub(crate) created: Option<String>,
    /// All of it.
    pub(crate) root: Option<View<'a>>,
    /// Its `spec`, unless that is missing.
    pub(crate) spec: Option<View<'a>>,
}

impl Resource<'_> {
    fn key(&self) -> (ResourceKind, &str, &str) {
        (self.kind, &self.namespace, &self.name)
    }

    /// Whose API it is written for.
    pub(crate) fn words(&self) -> Words {
        let version = self.root.and_then(|root| root.text("apiVersion"));
        match version.and_then(|version| version.split_once('/')) {
            Some((ENVOY_GROUP, _)) => Words::EnvoyGateway,
            _ => Words::Own,
        }
    }

    /// `metadata.labels`.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let metadata = self.root.and_then(|root| root.object("metadata"));
        metadata
            .map(|metadata| metadata.labels("labels"))
            .unwrap_or_default()
    }

    /// `namespace/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// All resources, each checked alone.
#[derive(Debug)]
pub(crate) struct Resources<'a> {
    list: Vec<Resource<'a>>,
    /// Places in the list by kind, namespace and name; of those that share all three, the first is first.
    by_name: Vec<usize>,
}

impl<'a> Resources<'a> {
    /// Finds out what each document is and checks it.
    pub(crate) fn gather(documents: &'a [Node], options: &ReadOptions, report: &mut Report) -> Self {
        let (mut list, mut foreign) = (Vec::new(), Foreign::default());
        for document in flat(documents) {
            if let Some(shape) = identify(document, &mut foreign, report) {
                list.push(resource(document, shape, options, report));
            }
        }
        foreign.tell(report);
        let mut by_name: Vec<usize> = (0..list.len()).collect();
        by_name.sort_by_key(|place| list[*place].key());
        let all = Self { list, by_name };
        all.check_names(report);
        all
    }

    /// Those of a kind, in the order read.
    pub(crate) fn of(&self, kind: ResourceKind) -> impl Iterator<Item = &Resource<'a>> {
        self.list.iter().filter(move |resource| resource.kind == kind)
    }

    /// The one of that name.
    pub(crate) fn find(&self, kind: ResourceKind, namespace: &str, name: &str) -> Option<&Resource<'a>> {
        let wanted = (kind, namespace, name);
        let at = self
            .by_name
            .partition_point(|place| self.list[*place].key() < wanted);
        let found = &self.list[*self.by_name.get(at)?];
        (found.key() == wanted).then_some(found)
    }

    /// The help for a reference to a resource that does not exist: the nearest name, or those
    /// there are. Nothing where nobody would read it.
    pub(crate) fn instead(&self, kind: ResourceKind, namespace: &str, name: &str, report: &Report) -> String {
        if report.is_full() {
            return String::new();
        }
        if let Some(other) = self.of(kind).find(|resource| resource.name == name) {
            return format!("there is one in namespace `{}`", other.namespace);
        }
        let here = || {
            self.of(kind)
                .filter(|resource| resource.namespace == namespace)
                .map(|r| r.name.as_str())
        };
        match nearest(name, here()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if here().next().is_none() => format!("there is none in namespace `{namespace}`"),
            None => format!(
                "there {} {}",
                if here().count() == 1 { "is" } else { "are" },
                listed(here().take(8))
            ),
        }
    }

    fn check_names(&self, report: &mut Report) {
        let mut first = None;
        for resource in self.by_name.iter().map(|place| &self.list[*place]) {
            let Some(first) = first.filter(|first: &&Resource<'_>| first.key() == resource.key()) else {
                first = Some(resource).filter(|resource| !resource.name.is_empty());
                continue;
            };
            let message = format!("{} `{}` is there twice", resource.kind_name, resource.full_name());
            report
                .error(Code::DuplicateName, resource.spot, message)
                .also(first.spot, "the first one")
                .help("rename one of them, or remove it");
        }
    }
}

fn resource<'a>(
    document: &'a Node,
    shape: &'static KindShape,
    options: &ReadOptions,
    report: &mut Report,
) -> Resource<'a> {
    let at = document
        .entries()
        .and_then(|entries| entry(entries, "kind"))
        .map_or(document.spot, |e| e.value.spot);
    check_object(shape.root, document, at, report);
    let root = View::new(document, shape.root, at);
    let metadata = root.and_then(|root| root.object("metadata"));
    let text = |name| metadata.and_then(|metadata| metadata.text(name));
    let created = document
        .entries()
        .and_then(|entries| entry(entries, "metadata")?.value.entries())
        .and_then(|entries| entry(entries, "creationTimestamp")?.value.text())
        .map(str::to_owned);
    if text("name").is_none() {
        report.lost_name(shape.kind);
    }
    Resource {
        kind: shape.kind,
        kind_name: shape.name,
        namespace: text("namespace").unwrap_or(&options.namespace).to_owned(),
        name: text("name").unwrap_or_default().to_owned(),
        spot: metadata
            .filter(|metadata| metadata.has("name"))
            .map_or(at, |metadata| metadata.value_spot("name")),
        created,
        root,
        spec: root
            .filter(|root| root.knows("spec"))
            .and_then(|root| root.object("spec")),
    }
}
