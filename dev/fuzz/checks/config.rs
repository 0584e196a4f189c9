//! What must hold for any text that an operator writes.

use ::config::{ReadOptions, Source, changes, read};

/// Reading ends with a model or with mistakes that can be shown; and reading again ends alike.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let sources = [Source {
        name: "any".to_owned(),
        text: text.to_owned(),
    }];
    let options = ReadOptions::default();
    match (read(&sources, &options), read(&sources, &options)) {
        (Ok(first), Ok(second)) => {
            assert_eq!(changes(&first, &second), Vec::<String>::new());
            assert_eq!(first.dump, second.dump);
        }
        (Err(first), Err(second)) => {
            assert!(first.errors() > 0);
            assert_eq!(first.to_string(), second.to_string());
            let lines = text.split('\n').count() as u32 + 1;
            assert!(
                first
                    .list()
                    .iter()
                    .all(|mistake| (1..=lines).contains(&mistake.line) && mistake.column > 0)
            );
        }
        _ => panic!("the same text was read once well and once not"),
    }
}
