//! What each document is: a resource of a known kind, one that comes later, or one for others.

use std::collections::BTreeMap;

use crate::mistake::{Code, Report};
use crate::node::{Entry, Node, Spot, Value, entry, quoted};
use crate::shape::check::{check_object, listed};
use crate::shape::foreign::{OWN_GROUPS, later_kind};
use crate::shape::{KINDS, KindShape};
use crate::suggest::{nearest, within};

/// The documents, with those that are lists (what `kubectl get -o yaml` writes) taken apart.
pub(super) fn flat(documents: &[Node]) -> Vec<&Node> {
    let mut all = Vec::with_capacity(documents.len());
    for document in documents {
        match list(document) {
            // Lists within lists are nothing that anybody writes.
            Some(items) => all.extend(items),
            None => all.push(document),
        }
    }
    all
}

/// The items of a `List` or, say, an `HTTPRouteList`.
fn list(document: &Node) -> Option<&[Node]> {
    let entries = document.entries()?;
    let (kind, _) = word(entries, "kind")?;
    word(entries, "apiVersion")?;
    match &entry(entries, "items")?.value.value {
        Value::List(items) if kind.ends_with("List") => Some(items),
        Value::Null if kind.ends_with("List") => Some(&[]),
        _ => None,
    }
}

/// Kinds for others that were met: each is told of once.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    met: BTreeMap<(String, String), (Spot, usize)>,
}

impl Foreign {
    fn meet(&mut self, version: &str, kind: &str, spot: Spot) {
        let key = (version.to_owned(), kind.to_owned());
        self.met.entry(key).or_insert((spot, 0)).1 += 1;
    }

    /// Tells of each kind that was met, once.
    pub(super) fn tell(self, report: &mut Report) {
        for ((version, kind), (spot, count)) in self.met {
            let more = match count {
                1 => String::new(),
                more => format!(" ({more} resources)"),
            };
            let message = format!(
                "{} of {} is not for evenkeel: ignored{more}",
                quoted(&kind),
                quoted(&version)
            );
            report
                .error(Code::Foreign, spot, message)
                .help("if evenkeel should read it, check `apiVersion` and `kind`");
        }
    }
}

/// The shape of a document's kind; `None` if there is none, which is noted.
pub(super) fn identify(
    document: &Node,
    foreign: &mut Foreign,
    report: &mut Report,
) -> Option<&'static KindShape> {
    let Some(entries) = document.entries() else {
        let message = format!("expected a resource, found {}", document.what());
        report
            .error(Code::NotAResource, document.spot, message)
            .help("a resource has `apiVersion`, `kind`, `metadata` and `spec`");
        return None;
    };
    let (version, kind) = (word(entries, "apiVersion"), word(entries, "kind"));
    let (Some((version, version_spot)), Some((kind, kind_spot))) = (version, kind) else {
        let missing = if kind.is_none() { "kind" } else { "apiVersion" };
        let at = entries.first().map_or(document.spot, |entry| entry.key_spot);
        report
            .error(
                Code::NotAResource,
                at,
                format!("this document has no `{missing}`, so it is no resource"),
            )
            .help("a resource has `apiVersion`, `kind`, `metadata` and `spec`");
        report.lost_text();
        return None;
    };
    if let Some(shape) = KINDS.iter().find(|shape| shape.name == kind) {
        if shape.old_versions.contains(&version) {
            report
                .error(
                    Code::OldVersion,
                    version_spot,
                    format!("{} is an old version", quoted(version)),
                )
                .help(format!("write `{}`", shape.versions[0]));
            return Some(shape);
        }
        if shape.versions.contains(&version) {
            return Some(shape);
        }
        // Others have a Gateway and a Backend of their own.
        if !is_for_others(version) || meant_group(version).is_some() {
            let message = format!("{} has no version {}", shape.name, quoted(version));
            let help = format!("write {}", listed(shape.versions.iter().copied()));
            report.error(Code::UnknownKind, version_spot, message).help(help);
            return Some(shape);
        }
        foreign.meet(version, kind, kind_spot);
        return None;
    }
    let ours = !is_for_others(version);
    if let Some(later) = later_kind(kind).filter(|_| ours) {
        report
            .error(Code::Later, kind_spot, format!("`{kind}` is not supported yet"))
            .help(later.instead);
        return None;
    }
    unknown(document, version, (kind, kind_spot), foreign, report)
}

/// A kind that is not known: a slip of the finger, or one for others.
fn unknown(
    document: &Node,
    version: &str,
    (kind, spot): (&str, Spot),
    foreign: &mut Foreign,
    report: &mut Report,
) -> Option<&'static KindShape> {
    let names = || KINDS.iter().map(|shape| shape.name);
    let in_version = |name: &&str| {
        let shape = KINDS.iter().find(|shape| shape.name == *name);
        shape.is_some_and(|shape| {
            shape
                .versions
                .iter()
                .chain(shape.old_versions)
                .any(|known| *known == version)
        })
    };
    let meant = nearest(kind, names().filter(in_version));
    let meant = meant.or_else(|| nearest(kind, names()).filter(|_| !is_for_others(version)));
    if meant.is_none() && is_for_others(version) && meant_group(version).is_none() {
        foreign.meet(version, kind, spot);
        return None;
    }
    let help = match meant {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known kinds: {}", listed(names())),
    };
    report
        .error(
            Code::UnknownKind,
            spot,
            format!("there is no kind {}", quoted(kind)),
        )
        .help(help);
    // The mistakes inside it are told as those of the kind that was meant.
    if let Some(shape) = KINDS.iter().find(|shape| Some(shape.name) == meant) {
        report.lost_name(shape.kind);
        check_object(shape.root, document, spot, report);
    }
    None
}

/// Whether the version's API group is none of those whose kinds are all known.
fn is_for_others(version: &str) -> bool {
    !OWN_GROUPS.contains(&group(version))
}

/// The group that was probably meant: no group of others is as near to one of ours as a slip.
fn meant_group(version: &str) -> Option<&'static str> {
    let group = group(version);
    OWN_GROUPS.into_iter().find(|known| within(group, known, 2))
}

/// A version's API group; that of the core is empty.
fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

fn word<'a>(entries: &'a [Entry], name: &str) -> Option<(&'a str, Spot)> {
    entry(entries, name).and_then(|entry| Some((entry.value.text()?, entry.value.spot)))
}
