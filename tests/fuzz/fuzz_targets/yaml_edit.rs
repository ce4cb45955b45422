//! Any text, any field: an edit is refused, or reads back as exactly what was asked for.
#![no_main]

use kubecure::yaml::{Action, Edit, FieldPath, documents, edit, outline};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Every path of a value, and the value.
fn paths(value: &Value, path: &FieldPath, into: &mut Vec<FieldPath>) {
    into.push(path.clone());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| paths(value, &path.clone().key(key), into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| paths(value, &path.clone().index(index), into));
        }
        _ => {}
    }
}

fuzz_target!(|input: (u16, u8, &str, &str)| {
    let (which, kind, word, text) = input;
    let _ = outline(text);
    let Ok(all) = documents(text) else {
        assert!(edit(text, 0, &[Edit { path: FieldPath::root(), action: Action::Remove }]).is_err());
        return;
    };
    let Some(document) = all.get(usize::from(kind) % all.len().max(1)) else { return };
    let mut places = Vec::new();
    paths(&document.value(), &FieldPath::root(), &mut places);
    let path = places[usize::from(which) % places.len()].clone();
    let (path, action) = match kind % 5 {
        0 => (path, Action::Set(json!(word))),
        1 => (path.key(word), Action::Add(json!({word: [word]}))),
        2 => (path, Action::Append(json!(word))),
        3 => (path.index(0), Action::Insert(json!(1))),
        _ => (path, Action::Remove),
    };
    let Ok(new) = edit(text, document.index, &[Edit { path: path.clone(), action: action.clone() }]) else { return };
    let after = documents(&new).expect("what was edited can be read");
    assert_eq!(after.len(), all.len(), "no document comes or goes");
    for (before, after) in all.iter().zip(&after).filter(|(before, _)| before.index != document.index) {
        assert_eq!(text[before.span.clone()], new[after.span.clone()], "other documents stay");
    }
    if let Action::Set(value) | Action::Add(value) = &action {
        assert_eq!(after[document.index].value_at(&path).as_ref(), Some(value));
    }
});
