//! Mappings of which `type` says which other field counts.

use crate::mistake::{Code, Report};
use crate::resolve::view::{View, Word};

/// Notes it if the field that the type needs is not there, or if one is there that belongs to
/// another type. `fields` are all that belong to some type.
pub(super) fn check(
    view: View<'_>,
    kind: Word<'_>,
    needs: Option<&str>,
    fields: &[&str],
    report: &mut Report,
) {
    if let Some(field) = needs.filter(|field| !view.has(field)) {
        report
            .error(
                Code::Missing,
                kind.spot,
                format!("`type: {}` needs `{field}`", kind.text),
            )
            .help(format!("add `{field}:` beside `type`"));
    }
    let foreign = |field: &&&str| needs != Some(**field) && view.has(field);
    for field in fields.iter().filter(foreign) {
        report
            .error(
                Code::Exclusive,
                view.key_spot(field),
                format!("`{field}` does not belong to `type: {}`", kind.text),
            )
            .also(kind.spot, "the type")
            .help("change the type, or remove it");
    }
}
