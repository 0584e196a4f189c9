//! Label selectors, as Kubernetes has them, and the labels of namespaces.

use std::collections::BTreeMap;

use crate::mistake::{Code, Report};
use crate::shape::ResourceKind;

use super::resource::Resources;
use super::view::View;

/// Labels of each namespace that is declared.
pub(super) type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// The label that every namespace has, with its own name.
const NAME: &str = "kubernetes.io/metadata.name";

/// The labels of all namespaces.
pub(super) fn namespaces(resources: &Resources<'_>) -> Namespaces {
    let of = |resource: &super::resource::Resource<'_>| (resource.name.clone(), resource.labels());
    resources.of(ResourceKind::Namespace).map(of).collect()
}

/// All that a selector asks for together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    /// What is written; an empty selector holds for everything.
    pub(super) fn of(view: View<'_>, report: &mut Report) -> Self {
        let labels = view.labels("matchLabels").into_iter();
        let mut requirements: Vec<_> = labels
            .map(|(key, value)| Requirement::In(key, vec![value]))
            .collect();
        for expression in view.objects("matchExpressions") {
            requirements.extend(requirement(expression, report));
        }
        Self { requirements }
    }

    /// Whether it holds for a namespace.
    pub(super) fn holds(&self, namespace: &str, namespaces: &Namespaces) -> bool {
        let declared = namespaces.get(namespace);
        let label = |key: &str| match key {
            NAME => Some(namespace),
            _ => declared.and_then(|labels| labels.get(key)).map(String::as_str),
        };
        let one_of =
            |key: &str, values: &[String]| label(key).is_some_and(|own| values.iter().any(|v| v == own));
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => one_of(key, values),
            Requirement::NotIn(key, values) => !one_of(key, values),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::DoesNotExist(key) => label(key).is_none(),
        })
    }
}

fn requirement(view: View<'_>, report: &mut Report) -> Option<Requirement> {
    let (key, operator) = (view.text("key")?.to_owned(), view.word("operator")?);
    let values = view.texts("values");
    let needs_values = matches!(operator.text, "In" | "NotIn");
    if needs_values == values.is_empty() {
        let (message, help) = if needs_values {
            (
                format!("`operator: {}` needs `values`", operator.text),
                "add `values`, a list of texts",
            )
        } else {
            (
                format!("`operator: {}` takes no `values`", operator.text),
                "remove `values`",
            )
        };
        report
            .error(Code::Inconsistent, operator.spot, message)
            .help(help);
    }
    Some(match operator.text {
        "In" => Requirement::In(key, values),
        "NotIn" => Requirement::NotIn(key, values),
        "Exists" => Requirement::Exists(key),
        _ => Requirement::DoesNotExist(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_the_labels_of_its_declaration_and_its_name() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let namespaces = Namespaces::from([("shop".to_owned(), labels(&[("team", "a"), ("tier", "web")]))]);
        let (key, values) = ("team".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        let holds = |requirement: &Requirement, namespace: &str| {
            let selector = Selector {
                requirements: vec![requirement.clone()],
            };
            selector.holds(namespace, &namespaces)
        };
        let cases = [
            (Requirement::In(key.clone(), values.clone()), true, false),
            (Requirement::NotIn(key.clone(), values), false, true),
            (Requirement::Exists(key.clone()), true, false),
            (Requirement::DoesNotExist(key), false, true),
            (
                Requirement::In(NAME.to_owned(), vec!["shop".to_owned()]),
                true,
                false,
            ),
            (Requirement::Exists(NAME.to_owned()), true, true),
        ];
        for (requirement, declared, other) in cases {
            assert_eq!(holds(&requirement, "shop"), declared, "{requirement:?}");
            assert_eq!(holds(&requirement, "other"), other, "{requirement:?}");
        }
        assert!(
            Selector::default().holds("any", &namespaces),
            "nothing is asked for"
        );
    }
}
