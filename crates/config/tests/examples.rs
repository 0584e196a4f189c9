//! The examples, the schema and the reference page agree with what is read.

use config::{Code, ReadOptions, Source, read, reference, schema};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn examples() -> Vec<Source> {
    let files = std::fs::read_dir(root().join("examples")).expect("there are examples");
    let yaml = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let source = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).expect("readable"),
        name: path.display().to_string(),
    };
    yaml.map(source).collect()
}

#[test]
fn every_example_is_a_configuration_without_mistake_or_warning() {
    let examples = examples();
    assert!(examples.len() >= 5);
    for example in examples {
        let model = read(std::slice::from_ref(&example), &ReadOptions::default());
        let model = model.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(
            model.warnings.is_empty(),
            "{}: {:?}",
            example.name,
            model.warnings
        );
    }
}

#[test]
fn every_example_satisfies_the_schema() {
    let validator = jsonschema::draft202012::new(&schema()).expect("a schema");
    for example in examples() {
        let model = read(std::slice::from_ref(&example), &ReadOptions::default()).expect("valid");
        for resource in model.dump.to_json().as_array().expect("a list of resources") {
            let errors: Vec<_> = validator
                .iter_errors(resource)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", example.name);
        }
    }
}

#[test]
fn the_schema_is_one_of_draft_2020_12() {
    assert!(jsonschema::draft202012::meta::is_valid(&schema()));
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::draft202012::new(&schema()).expect("a schema");
    let backend = serde_json::json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Backend", "metadata": { "name": "a" },
        "spec": { "endpoints": [{ "ip": { "address": "::1", "port": 80 } }] },
    });
    assert!(validator.is_valid(&backend));
    let wrong = [
        ("/apiVersion", serde_json::json!("v1")),
        ("/kind", serde_json::json!("Backnd")),
        ("/metadata/name", serde_json::json!("A_b")),
        ("/spec/endpoints", serde_json::json!([])),
        ("/spec/endpoints/0/ip/port", serde_json::json!(65_536)),
        ("/spec/endpoints/0", serde_json::json!({ "hostname": "tls" })),
    ];
    for (pointer, value) in wrong {
        let mut changed = backend.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        assert!(!validator.is_valid(&changed), "{pointer}");
        let source = Source {
            name: "a".to_owned(),
            text: changed.to_string(),
        };
        let mistakes = read(&[source], &ReadOptions::default()).expect_err(pointer);
        assert!(
            mistakes
                .list()
                .iter()
                .any(|mistake| mistake.code != Code::NoGateway),
            "{pointer}"
        );
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = root().join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, reference()).expect("writable");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == reference(),
        "run: UPDATE_DOCS=1 cargo test -p evenkeel-config the_reference_page"
    );
}

#[test]
fn every_field_of_the_schema_is_on_the_reference_page() {
    let (schema, page) = (schema(), reference());
    let mut pending: Vec<&serde_json::Value> = vec![&schema];
    while let Some(value) = pending.pop() {
        for name in value["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
        {
            let known = page.contains(&format!("`{name}`")) || page.contains(&format!(".{name}`"));
            assert!(known, "{name}");
        }
        match value {
            serde_json::Value::Object(fields) => pending.extend(fields.values()),
            serde_json::Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
}

/// Each kind's section of the reference page: its name, and the block of YAML that it begins with.
fn examples_of_kinds() -> Vec<Source> {
    let page = reference();
    let sections = page.split("\n## ").skip(1);
    let kinds = sections.filter(|section| section.contains("\n`apiVersion`: "));
    let example = |section: &str| {
        let (name, rest) = section.split_once('\n').expect("a title");
        let block = rest.split_once("\n```yaml\n").expect("an example").1;
        Source {
            name: name.to_owned(),
            text: block.split_once("\n```\n").expect("an end").0.to_owned(),
        }
    };
    kinds.map(example).collect()
}

#[test]
fn every_kind_of_the_reference_page_has_a_complete_example_without_mistake_or_warning() {
    let examples = examples_of_kinds();
    assert!(examples.len() >= 12, "{} kinds", examples.len());
    for example in examples {
        let kind = format!("\nkind: {}\n", example.name);
        assert!(format!("\n{}", example.text).contains(&kind), "{}", example.name);
        let model = read(std::slice::from_ref(&example), &ReadOptions::default());
        let model = model.unwrap_or_else(|mistakes| panic!("{}: {mistakes}", example.name));
        assert!(
            model.warnings.is_empty(),
            "{}: {:?}",
            example.name,
            model.warnings
        );
    }
}
