//! Real files, random edits, two other readers of YAML as judges.
//!
//! What `edit` returns must be what was asked for by the word of serde-saphyr (YAML 1.2, with the words of 1.1) and of
//! libyaml (YAML 1.1), and every byte outside of the change must be as it was. Everything else must be a refusal.
#![expect(clippy::disallowed_methods, reason = "the files that are edited are read from the disk")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests, although not all of it stands in one")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kubecure::yaml::{
    Action, Data, Document, Edit, FieldPath, Layout, Node, ScalarStyle, Step, documents, edit, outline,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Xorshift: the same edits in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every manifest of the project, and of the samples and recordings beside it where they are.
fn files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["policies", "deploy", "example-gitops-repo", "tests", "src"] {
        collect(&root().join(folder), &mut found);
    }
    for folder in ["samples", "captures", "shop"] {
        let path = root().join("../shared").join(folder);
        if path.is_dir() {
            collect(&path, &mut found);
        } else {
            println!("skips ../shared/{folder}: it is not here, so fewer files are edited");
        }
    }
    found.sort();
    found
}

fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with(".git") && !path.ends_with("fuzz") {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
            && let Ok(text) = fs::read_to_string(&path)
        {
            into.push((path, text));
        }
    }
}

/// The documents that are not empty, as libyaml reads them.
fn libyaml(text: &str) -> Option<Vec<Value>> {
    let all: Result<Vec<Value>, _> = serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect();
    Some(all.ok()?.into_iter().filter(|value| !value.is_null()).collect())
}

/// The documents that are not empty, as serde-saphyr reads them.
fn saphyr(text: &str) -> Option<Vec<Value>> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true, emit_comments: false, budget: None };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    Some(all.into_iter().filter(|value| !value.is_null()).collect())
}

/// Values are the same if their numbers are.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, |float| json!(float)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, plain(value))).collect();
            json!(sorted)
        }
        other => other.clone(),
    }
}

/// The edit, done on a value.
fn expected(value: &mut Value, edit: &Edit) -> Option<()> {
    let (parent, last) = match edit.path.split_last() {
        None => (FieldPath::root(), None),
        Some((parent, last)) => (parent, Some(last.clone())),
    };
    let is_own = matches!(edit.action, Action::Append(_) | Action::Set(_));
    let found = reach(value, if is_own { &edit.path } else { &parent })?;
    match (&edit.action, last) {
        (Action::Set(new), _) => *found = new.clone(),
        (Action::Append(new), _) => {
            if found.is_null() {
                *found = json!([]);
            }
            found.as_array_mut()?.push(new.clone());
        }
        (Action::Insert(new), Some(Step::Index(index))) => found.as_array_mut()?.insert(index, new.clone()),
        (Action::Add(new), Some(Step::Key(key))) => {
            if found.is_null() {
                *found = json!({});
            }
            found.as_object_mut()?.insert(key, new.clone());
        }
        (Action::Remove, Some(Step::Key(key))) => {
            found.as_object_mut()?.shift_remove(&key)?;
        }
        (Action::Remove, Some(Step::Index(index))) => {
            found.as_array_mut()?.remove(index);
        }
        _ => return None,
    }
    Some(())
}

fn reach<'v>(value: &'v mut Value, path: &FieldPath) -> Option<&'v mut Value> {
    path.steps().iter().try_fold(value, |at, step| match step {
        Step::Key(key) => at.as_object_mut()?.get_mut(key),
        Step::Index(index) => at.as_array_mut()?.get_mut(*index),
        Step::Named { .. } => None,
    })
}

/// Every path of a value.
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

fn random_value(dice: &mut Dice) -> Value {
    let words = [
        "x",
        "on",
        "yes",
        "no",
        "y",
        "off",
        "null",
        "~",
        "012",
        "0644",
        "1e3",
        "0x1F",
        "1_000",
        "12:30",
        "12:30:45",
        "2026-01-01",
        ".inf",
        "=",
        "<<",
        "true",
        "",
        " lead",
        "trail ",
        "a: b",
        "a #b",
        "#c",
        "- x",
        "[x",
        "{x",
        "it's",
        "\"q\"",
        "tab\tin",
        "two\nlines\n",
        "two\nlines",
        "a\n\n  b\n",
        "\n",
        " x\ny",
        "é ü 漢 🦀",
        "\u{7f}",
        "\u{2028}",
        "128Mi",
        "nginx:1.27",
        "--flag=1",
        "@x",
        "`x",
        "%x",
        "&x",
        "*x",
        "!x",
        "|",
        ">",
        "a, b",
        "a]b",
        "-",
        "---",
        "...",
        "long text with many words in it, and with a comma; longer than one would like it to be in a file that people read",
    ];
    match dice.roll(12) {
        0 => json!(dice.roll(5000)),
        1 => json!(dice.roll(2) == 0),
        2 => json!(-1.5),
        3 => Value::Null,
        4 => json!({ *dice.pick(&words): *dice.pick(&words), "k": [1, *dice.pick(&words), {"z": {}}] }),
        5 => json!([*dice.pick(&words), {"name": "x", "v": *dice.pick(&words)}, []]),
        _ => json!(*dice.pick(&words)),
    }
}

fn random_edit(dice: &mut Dice, value: &Value) -> Option<Edit> {
    let mut all = Vec::new();
    paths(value, &FieldPath::root(), &mut all);
    let path = dice.pick(&all[1.min(all.len() - 1)..]).clone();
    let at = path.get(value)?;
    let keys = ["new", "on", "8080", "a.b/c", "with space", "q: r", "é"];
    Some(match (dice.roll(10), at) {
        (0..=1, Value::Object(map)) => {
            let key = *dice.pick(&keys);
            let action =
                if map.contains_key(key) { Action::Set(random_value(dice)) } else { Action::Add(random_value(dice)) };
            Edit { path: path.key(key), action }
        }
        (0..=1, Value::Array(items)) => {
            let index = dice.roll(items.len() + 1);
            Edit { path: path.index(index), action: Action::Insert(random_value(dice)) }
        }
        (2..=3, Value::Array(_)) => Edit { path, action: Action::Append(random_value(dice)) },
        (4..=5, _) if !path.is_root() => Edit { path, action: Action::Remove },
        // Containers as a whole are seldom set; their fields are.
        (6..=8, Value::Object(_) | Value::Array(_)) => return None,
        _ => Edit { path, action: Action::Set(random_value(dice)) },
    })
}

/// Lines that are comments, which no edit but a removal may touch.
fn comments(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with('#')).collect()
}

fn is_subsequence(less: &str, more: &str) -> bool {
    let mut more = more.bytes();
    less.bytes().all(|byte| more.any(|other| other == byte))
}

/// Holds the new text against the old one, byte by byte.
fn outside_is_identical(text: &str, document: &Document, edit: &Edit, new: &str) -> bool {
    match (&edit.action, document.find(&edit.path)) {
        (Action::Set(value), Some(node)) if !(value.is_object() || value.is_array()) => {
            let is_block = matches!(node.data, Data::Map(_, Layout::Block) | Data::List(_, Layout::Block));
            let (head, tail) = (&text[..node.span.start], &text[node.span.end..]);
            is_block || (new.starts_with(head) && new.ends_with(tail))
        }
        (Action::Add(_) | Action::Append(_) | Action::Insert(_), _) => {
            // A missing, null or empty value is replaced by what is filled in.
            let parent = edit.path.split_last().and_then(|(parent, _)| document.find(&parent));
            let at = if matches!(edit.action, Action::Append(_)) { document.find(&edit.path) } else { parent };
            let fills = at.is_some_and(|node| match &node.data {
                Data::Map(entries, _) => entries.is_empty(),
                Data::List(items, _) => items.is_empty(),
                _ => true,
            });
            comments(text) == comments(new) && (fills || is_subsequence(text, new))
        }
        (Action::Remove, _) => is_subsequence(&new.replace(['{', '}', '[', ']', ' '], ""), text),
        _ => true,
    }
}

/// Whether the text of a scalar is what we would write for its value again.
fn is_canonical(node: &Node, source: &str) -> bool {
    let Data::Scalar { value, style } = &node.data else { return false };
    let is_word = |text: &str| {
        text.len() > 3
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-/_".contains(c))
            && !["true", "null", "false"].contains(&text.to_ascii_lowercase().as_str())
    };
    match style {
        ScalarStyle::Plain => is_word(source),
        ScalarStyle::Single => !value.contains(|c: char| c.is_control()) && !source.contains('\n'),
        // We escape what is a control character, also where YAML takes it as it stands.
        ScalarStyle::Double => {
            source.get(1..source.len() - 1) == Some(value.as_str()) && !value.contains(|c: char| c.is_control())
        }
        ScalarStyle::Literal | ScalarStyle::Folded => false,
    }
}

#[derive(Default)]
struct Tally {
    edits: usize,
    unchanged: usize,
    set_back: usize,
    refusals: BTreeMap<&'static str, usize>,
    judged: [usize; 2],
}

/// One edit, by all rules.
fn try_edit(
    name: &str,
    text: &str,
    before: &[Option<Vec<Value>>; 2],
    document: &Document,
    edit_: &Edit,
    tally: &mut Tally,
) {
    tally.edits += 1;
    let what = || format!("{name}, document {}, {edit_:?}", document.index);
    let new = match edit(text, document.index, std::slice::from_ref(edit_)) {
        Ok(new) => new,
        Err(refused) => {
            *tally.refusals.entry(refused.reason.code()).or_default() += 1;
            if matches!(refused.reason.code(), "unproven" | "unsupported") {
                println!("{}: {refused}", what());
            }
            return;
        }
    };
    if new == text {
        tally.unchanged += 1;
        return;
    }
    assert!(
        outside_is_identical(text, document, edit_, &new),
        "{}: bytes outside of the change differ:\n{new}",
        what()
    );
    let number = documents(text).unwrap().iter().take(document.index).filter(|d| d.root.is_some()).count();
    for (judge, read) in [saphyr as fn(&str) -> Option<Vec<Value>>, libyaml].into_iter().enumerate() {
        let Some(before) = &before[judge] else { continue };
        let mut want = before.clone();
        if want.get_mut(number).and_then(|value| expected(value, edit_)).is_none() {
            continue; // this reader has other keys, because it reads them as another type
        }
        let got = read(&new).unwrap_or_else(|| panic!("{}: judge {judge} cannot read:\n{new}", what()));
        let (want, got): (Vec<_>, Vec<_>) = (want.iter().map(plain).collect(), got.iter().map(plain).collect());
        assert!(want == got, "{}: judge {judge} reads another value:\n{new}", what());
        tally.judged[judge] += 1;
    }
    let Action::Set(_) = &edit_.action else { return };
    let again = edit(&new, document.index, std::slice::from_ref(edit_));
    assert_eq!(again.as_ref(), Ok(&new), "{}: the second time", what());
    let Some(node) = document.find(&edit_.path) else { return };
    let after = &documents(&new).unwrap()[document.index];
    let style = |node: Option<&Node>| match node.map(|node| &node.data) {
        Some(Data::Scalar { style, .. }) => Some(*style),
        _ => None,
    };
    if style(Some(node)) == style(after.find(&edit_.path)) && is_canonical(node, &text[node.span.clone()]) {
        let back = Edit { path: edit_.path.clone(), action: Action::Set(node.value()) };
        assert_eq!(edit(&new, document.index, &[back]).as_deref(), Ok(text), "{}: set back", what());
        tally.set_back += 1;
    }
}

#[test]
fn random_edits_of_real_files_are_right_or_refused() {
    let mut dice = Dice(0x5eed);
    let mut tally = Tally::default();
    let (mut unread, mut templates) = (0, 0);
    for (path, text) in files() {
        let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        let Ok(all) = documents(&text) else {
            unread += 1;
            continue;
        };
        if text.len() > 48 * 1024 || all.is_empty() {
            continue;
        }
        if edit(&text, all.len(), &[Edit { path: FieldPath::root(), action: Action::Remove }])
            .is_err_and(|refused| matches!(refused.reason.code(), "template" | "unreadable"))
        {
            templates += 1;
            continue;
        }
        let before = [saphyr(&text), libyaml(&text)];
        let rounds = if text.len() > 8 * 1024 { 1 } else { 5 };
        for _ in 0..rounds {
            let document = dice.pick(&all);
            if let Some(edit) = random_edit(&mut dice, &document.value()) {
                try_edit(&name, &text, &before, document, &edit, &mut tally);
            }
        }
    }
    let refused: usize = tally.refusals.values().sum();
    println!(
        "{} edits: {} refused {:?}, {} without effect; judged {:?}; {} set back; {unread} files unreadable, {templates} templates",
        tally.edits, refused, tally.refusals, tally.unchanged, tally.judged, tally.set_back
    );
    assert!(refused * 100 <= tally.edits * 4, "{refused} of {} edits were refused", tally.edits);
}

#[test]
fn broken_files_are_refused_and_never_break_us() {
    let mut dice = Dice(0xf00d);
    let junk = [
        "\t", "\n", "---", "...", "{{", "*x", "&x", "\"", "'", "[", "{", "- ", ": ", "#", "|", "\r\n", "\u{feff}", "é",
        "<<: ",
    ];
    let (mut edited, mut refused) = (0, 0);
    for (path, text) in files() {
        if text.len() > 6 * 1024 {
            continue;
        }
        for _ in 0..3 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=dice.roll(3) {
                let at = dice.roll(bytes.len() + 1);
                let end = (at + dice.roll(4)).min(bytes.len());
                let piece = if dice.roll(3) == 0 { "" } else { *dice.pick(&junk) };
                bytes.splice(at..end, piece.bytes());
            }
            let broken = String::from_utf8_lossy(&bytes).into_owned();
            let _ = outline(&broken);
            let Ok(all) = documents(&broken) else {
                let edits = [Edit { path: FieldPath::keys(&["kind"]), action: Action::Set(json!("x")) }];
                let _ = edit(&broken, 0, &edits);
                continue;
            };
            let Some(document) = all.get(dice.roll(all.len())) else { continue };
            let value = document.value();
            let Some(random) = random_edit(&mut dice, &value) else { continue };
            let Ok(new) = edit(&broken, document.index, std::slice::from_ref(&random)) else {
                refused += 1;
                continue;
            };
            edited += 1;
            let mut want = value;
            let has = expected(&mut want, &random);
            let got = documents(&new).unwrap_or_else(|e| panic!("{}: {random:?}: {e}:\n{new}", path.display()));
            let got = got[document.index].value();
            assert!(
                has.is_none() || plain(&want) == plain(&got),
                "{}: {random:?} made another value of:\n{broken}\n{new}",
                path.display()
            );
        }
    }
    println!("{edited} edits of broken files made, {refused} refused");
}

#[test]
fn outlines_agree_with_documents() {
    for (path, text) in files() {
        let (Ok(outlines), Ok(all)) = (outline(&text), documents(&text)) else { continue };
        for outline in outlines {
            let document = &all[outline.document];
            assert_eq!(document.span.start, outline.offset, "{}", path.display());
            if document.duplicate_key.is_some() {
                // Which of two names counts is nobody's to say: what matters is that such a document is never edited.
                let at = outline.root.clone().key("metadata").key("name");
                let rename = Edit { path: at, action: Action::Set("other".into()) };
                let refused = edit(&text, outline.document, &[rename]).unwrap_err();
                assert_eq!(refused.reason.code(), "duplicate-key", "{}", path.display());
                continue;
            }
            let object = document.find(&outline.root).unwrap();
            let text = |path: &[&str]| object.find(&FieldPath::keys(path)).and_then(Node::as_str).unwrap_or_default();
            assert_eq!(text(&["metadata", "name"]), outline.name, "{}", path.display());
            assert_eq!(text(&["metadata", "namespace"]), outline.namespace.unwrap_or_default(), "{}", path.display());
            let keys = |of: &str| match object.get(of).map(|node| &node.data) {
                Some(Data::Map(entries, _)) => entries.len(),
                _ => 0,
            };
            if ["ConfigMap", "Secret"].contains(&outline.kind.as_str()) {
                let count = keys("data") + keys("stringData") + keys("binaryData");
                assert_eq!(outline.keys.len(), count, "{}", path.display());
            }
        }
    }
}

#[test]
fn the_expected_value_of_an_edit_is_its_own_definition() {
    let mut value = json!({"a": [1, 2], "b": Map::new()});
    for (path, action) in [
        ("a[0]", Action::Set(json!(5))),
        ("a", Action::Append(json!(3))),
        ("a[1]", Action::Insert(json!(9))),
        ("b.c", Action::Add(json!(1))),
        ("a[2]", Action::Remove),
    ] {
        expected(&mut value, &Edit { path: path.parse().unwrap(), action }).unwrap();
    }
    assert_eq!(value, json!({"a": [5, 9, 3], "b": {"c": 1}}));
}
