//! Imports go downwards only: what a manifest may name of ours.

use std::path::Path;

use serde_json::Value;

use crate::Fallible;
use crate::step::cargo;

/// Our packages and the floor that each is on. What is not here is under `dev`: it may name
/// anything, and nothing may name it.
const FLOORS: [(&str, u8); 6] = [
    ("evenkeel-wire", 0),
    ("evenkeel-policy", 0),
    ("evenkeel-sys", 0),
    ("evenkeel-config", 1),
    ("evenkeel-proxy", 2),
    ("evenkeel", 3),
];

pub(super) fn check(root: &Path) -> Fallible<Vec<String>> {
    let output = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(wrong(&serde_json::from_slice(&output.stdout)?))
}

/// What is wrong in cargo's own account of the workspace.
fn wrong(metadata: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let packages = list(&metadata["packages"]);
    let ours: Vec<String> = packages.iter().map(name).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let from = name(package);
        for to in list(&package["dependencies"])
            .iter()
            .map(name)
            .filter(|to| ours.contains(to))
        {
            match (floor(&from), floor(&to)) {
                (Some(_), None) => wrong.push(format!("{from} imports {to}: nothing imports dev")),
                (Some(upper), Some(lower)) if lower >= upper => {
                    wrong.push(format!(
                        "{from} (floor {upper}) imports {to} (floor {lower}): downwards only"
                    ));
                }
                _ => {}
            }
        }
    }
    wrong
}

fn floor(package: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_import_upwards_sideways_or_of_dev_is_wrong() {
        let package = |name: &str, to: &str| json!({"name": name, "dependencies": [{"name": to}]});
        let metadata = json!({"packages": [
            package("evenkeel-wire", "evenkeel-policy"),
            package("evenkeel-policy", "evenkeel-proxy"),
            package("evenkeel-proxy", "xtask"),
            package("evenkeel-config", "evenkeel-policy"),
            package("xtask", "evenkeel"),
            package("evenkeel", "serde"),
        ]});
        assert_eq!(wrong(&metadata).len(), 3, "{:#?}", wrong(&metadata));
    }
}
