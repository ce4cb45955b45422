//! Every style of YAML that people write, edited: before, edits, after. All else in a file stays, byte for byte.

use serde_json::Value;

use super::{Action, Edit, Refused, edit};

/// `set PATH JSON`, `add PATH JSON`, `append PATH JSON`, `insert PATH JSON`, `remove PATH`, several divided by `;`.
fn edits(text: &str) -> Vec<Edit> {
    let one = |text: &str| {
        let mut words = text.trim().splitn(3, ' ');
        let (verb, path) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
        let value: Value = words.next().map_or(Value::Null, |json| serde_json::from_str(json).unwrap());
        let action = match verb {
            "set" => Action::Set(value),
            "add" => Action::Add(value),
            "append" => Action::Append(value),
            "insert" => Action::Insert(value),
            "remove" => Action::Remove,
            _ => panic!("{verb}"),
        };
        Edit { path, action }
    };
    text.split("; ").map(one).collect()
}

fn made(before: &str, document: usize, edits_text: &str) -> Result<String, Refused> {
    edit(before, document, &edits(edits_text))
}

#[track_caller]
fn table(rows: &[(&str, &str, &str)]) {
    for (before, edits, after) in rows {
        let result = made(before, 0, edits).unwrap_or_else(|refused| panic!("{before:?}, {edits}: {refused}"));
        assert_eq!(&result, after, "{before:?}, {edits}");
        let marked = |text: &str| format!("\u{feff}{text}");
        assert_eq!(made(&marked(before), 0, edits).unwrap(), marked(after), "with a BOM: {before:?}, {edits}");
        let crlf = |text: &str| text.replace('\n', "\r\n");
        if before.contains('\n') {
            assert_eq!(made(&crlf(before), 0, edits).unwrap(), crlf(after), "with CRLF: {before:?}, {edits}");
        }
    }
}

#[track_caller]
fn refused(rows: &[(&str, &str, &str)]) {
    for (before, edits, code) in rows {
        match made(before, 0, edits) {
            Ok(after) => panic!("{before:?}, {edits} should be refused as {code}, became {after:?}"),
            Err(refused) => assert_eq!(refused.reason.code(), *code, "{before:?}, {edits}: {refused}"),
        }
    }
}

#[test]
fn a_scalar_keeps_its_quotes_and_its_comment() {
    table(&[
        ("a: x # c\n", "set a \"v\"", "a: v # c\n"),
        ("a: 'x' # c\n", "set a \"it's\"", "a: 'it''s' # c\n"),
        ("a: \"x\" # c\n", "set a \"y\\\"z\"", "a: \"y\\\"z\" # c\n"),
        ("a: \"64Mi\"\nb: 1\n", "set a \"128Mi\"", "a: \"128Mi\"\nb: 1\n"),
        ("a: 'x'\n", "set a \"x\\ty\"", "a: \"x\\ty\"\n"),
        ("a: x\n", "set a \"on\"", "a: \"on\"\n"),
        ("a: x\n", "set a \"0644\"", "a: \"0644\"\n"),
        ("a: x\n", "set a \"a: b\"", "a: \"a: b\"\n"),
        ("a: 1 # c\n", "set a 2", "a: 2 # c\n"),
        ("a: \"1\"\n", "set a 2", "a: 2\n"),
        ("a: 1\n", "set a \"2\"", "a: \"2\"\n"),
        ("a: yes\n", "set a false", "a: false\n"),
        ("a: true\n", "set a null", "a: null\n"),
        ("a: 1\n", "set a 1e300", "a: 1.0e+300\n"),
        ("a: 1", "set a 22", "a: 22"),
        ("a:   x   # c\n", "set a \"v\"", "a:   v   # c\n"),
        ("é: ü # ö\nb: x\n", "set b \"ä\"", "é: ü # ö\nb: ä\n"),
        ("a: x\n  y\nb: 1\n", "set a \"z\"", "a: z\nb: 1\n"),
        ("a: \"x\n  y\" # c\nb: 1\n", "set a \"z\"", "a: \"z\" # c\nb: 1\n"),
        ("a: &x y\n", "set a \"z\"", "a: &x z\n"),
        ("a:\n  x\n", "set a \"v\"", "a:\n  v\n"),
        ("\"a\": 1\n'b.c/d': 2\n3: 4\n", "set [\"b.c/d\"] 5; set 3 6; set a 7", "\"a\": 7\n'b.c/d': 5\n3: 6\n"),
        ("- a\n- b\n", "set [1] \"c\"", "- a\n- c\n"),
        ("- x: 1\n  y: 2\n", "set [0].y 3", "- x: 1\n  y: 3\n"),
        ("a: [x, 'y', \"z\"]\n", "set a[0] \"1\"; set a[1] \"2\"; set a[2] \"3\"", "a: [\"1\", '2', \"3\"]\n"),
        ("a: {b: nginx:1.25, c: 1}\n", "set a.b \"nginx:1.26\"", "a: {b: nginx:1.26, c: 1}\n"),
        ("a: {b: x}\n", "set a.b \"x, y\"", "a: {b: \"x, y\"}\n"),
    ]);
}

#[test]
fn a_value_that_is_the_same_changes_nothing() {
    table(&[
        ("a: 0644\n", "set a 420", "a: 0644\n"),
        ("a: on\n", "set a true", "a: on\n"),
        ("a: 'x'\n", "set a \"x\"", "a: 'x'\n"),
        ("a:\n", "set a null", "a:\n"),
        ("a: {b: [1, 2]}\n", "set a {\"b\":[1,2]}", "a: {b: [1, 2]}\n"),
    ]);
}

#[test]
fn missing_values_and_empty_collections_are_filled() {
    table(&[
        ("a:\nb: 1\n", "set a \"x\"", "a: x\nb: 1\n"),
        ("a:  # c\nb: 1\n", "set a 1", "a: 1  # c\nb: 1\n"),
        ("- \n-\n- x\n", "set [0] 1; set [1] 2", "- 1\n- 2\n- x\n"),
        ("a: {b: , c: 1}\n", "set a.b 2", "a: {b: 2 , c: 1}\n"),
        ("a: {} # c\nb: 1\n", "add a.k \"v\"", "a: # c\n  k: v\nb: 1\n"),
        ("a: null\n", "add a.k.l \"v\"", "a:\n  k:\n    l: v\n"),
        ("a:\n  # x: 1\n  # y: 2\nb: 1\n", "add a.k 1", "a:\n  k: 1\n  # x: 1\n  # y: 2\nb: 1\n"),
        ("a: []\n", "append a \"x\"", "a:\n  - x\n"),
        ("a:\nb:\n- 1\n", "append a {\"k\":1,\"l\":[2]}", "a:\n- k: 1\n  l:\n  - 2\nb:\n- 1\n"),
        ("a:\n    b:\n        c: 1\nd: {}\n", "add d.e.f 1", "a:\n    b:\n        c: 1\nd:\n    e:\n        f: 1\n"),
        ("l:\n  - a: {}\n", "add l[0].a.b 1", "l:\n  - a:\n      b: 1\n"),
        ("l:\n  - {}\n  -\n", "add l[0].a 1; add l[1].b 2", "l:\n  - a: 1\n  - b: 2\n"),
        ("a: {b: {}, c: []}\n", "add a.b.x 1; append a.c 2", "a: {b: {x: 1}, c: [2]}\n"),
        ("a: {b: null}\n", "add a.b.x \"v\"", "a: {b: {x: v}}\n"),
        ("{}\n", "add a \"b\"", "{\"a\": \"b\"}\n"),
        ("[ ]", "insert [0] 1", "[1]"),
    ]);
}

#[test]
fn entries_go_after_the_last_one_and_before_comments_that_follow() {
    table(&[
        ("a: 1\nb: 2 # c\n# tail\n", "add c 3", "a: 1\nb: 2 # c\nc: 3\n# tail\n"),
        ("a: 1\nb: 2", "add c 3", "a: 1\nb: 2\nc: 3"),
        ("a:\n  b: 1\n  # tail\n\nc: 2\n", "add a.d 3", "a:\n  b: 1\n  d: 3\n  # tail\n\nc: 2\n"),
        ("a:\n  b:\n    c: 1\nd: 1\n", "add a.e 1", "a:\n  b:\n    c: 1\n  e: 1\nd: 1\n"),
        (
            "a:\n  b:\n    c: 1\nd: 1\n",
            "add a.e.f {\"x\":{\"w\":1}}",
            "a:\n  b:\n    c: 1\n  e:\n    f:\n      x:\n        w: 1\nd: 1\n",
        ),
        ("l:\n  - a: 1\n  - b: 1\n", "add l[0].c 1", "l:\n  - a: 1\n    c: 1\n  - b: 1\n"),
        ("l:\n-   name: x\n    v: 1\n", "add l[name=x].c 1", "l:\n-   name: x\n    v: 1\n    c: 1\n"),
        ("a: 1\n", "add [\"x.y/z\"] \"w\"; add yes 1; add [\"a\\u0020b\"] 1", "a: 1\nx.y/z: w\n\"yes\": 1\na b: 1\n"),
        ("a: 1\n", "add [\"q:\\u0020r\"] 1; add [\"8\"] 1; add [\"\"] 1", "a: 1\n\"q: r\": 1\n\"8\": 1\n\"\": 1\n"),
        ("a: 1\nb: |\n  x\n\n\nc: 1\n", "remove c; add d 1", "a: 1\nb: |\n  x\nd: 1\n\n\n"),
        ("b: |+\n  x\n\nc: 1\n", "remove c; add d 1", "b: |+\n  x\n\nd: 1\n"),
        ("a:\n  b: |-\n    x", "add c 1", "a:\n  b: |-\n    x\nc: 1"),
        ("a: 1\n", "add b \"x\\ny\\n\"", "a: 1\nb: |\n  x\n  y\n"),
        ("a: 1\n", "add b \"x\\n\\n  y\"", "a: 1\nb: |-\n  x\n\n    y\n"),
        ("a: 1\n", "add b \" x\\ny\"", "a: 1\nb: \" x\\ny\"\n"),
        ("a: 1", "add b \"x\\ny\\n\"", "a: 1\nb: \"x\\ny\\n\""),
    ]);
}

#[test]
fn items_are_added_in_the_style_of_their_siblings() {
    table(&[
        ("a:\n- x\n- y # c\nb: 1\n", "append a \"z\"", "a:\n- x\n- y # c\n- z\nb: 1\n"),
        ("a:\n    - x\nb: 1\n", "append a \"z\"", "a:\n    - x\n    - z\nb: 1\n"),
        ("a:\n  -   x: 1\n", "append a {\"w\":2,\"z\":3}", "a:\n  -   x: 1\n  -   w: 2\n      z: 3\n"),
        ("a:\n  - x\n  # about y\n  - y\n", "insert a[1] \"m\"", "a:\n  - x\n  - m\n  # about y\n  - y\n"),
        ("a:\n  - x\n", "insert a[0] \"k\"; insert a[2] \"m\"", "a:\n  - k\n  - x\n  - m\n"),
    ]);
    table(&[
        ("- - a\n  - b\n", "insert [0][0] 1; append [0] 2; insert [1] 3", "- - 1\n  - a\n  - b\n  - 2\n- 3\n"),
        ("a: [x, y]\n", "append a \"z\"; insert a[0] \"w\"", "a: [w, x, y, z]\n"),
        ("a: [\n  x, # c\n  y # d\n]\n", "append a \"z\"", "a: [\n  x, # c\n  y, # d\n  z\n]\n"),
        ("a: [\n  x,\n  y,\n]\n", "append a \"z\"; insert a[1] \"m\"", "a: [\n  x,\n  m,\n  y,\n  z,\n]\n"),
        ("a: [x, y,]\n", "append a \"z\"", "a: [x, y, z,]\n"),
        ("a: {x: 1, y: 2}\n", "add a.z \"on\"", "a: {x: 1, y: 2, z: \"on\"}\n"),
        ("a: { x: 1 }\n", "add a.z {\"p\":[1]}", "a: { x: 1, z: {p: [1]} }\n"),
        ("a:\n  - name: x\n    v: 1\n", "add a[name=z].v 2", "a:\n  - name: x\n    v: 1\n  - name: z\n    v: 2\n"),
        ("a: 1\n", "add b[name=z].v 2", "a: 1\nb:\n  - name: z\n    v: 2\n"),
    ]);
}

#[test]
fn entries_and_items_go_with_their_line() {
    table(&[
        ("a: 1 # c\nb: 2\n", "remove a", "b: 2\n"),
        ("a: 1\nb:\n  c: 1\n  d: 2\ne: 1\n", "remove b", "a: 1\ne: 1\n"),
        ("a: 1\nb: 2", "remove b", "a: 1"),
        ("a: 1\n# above\nb: |\n  x\n\n# below\nc: 1\n", "remove b", "a: 1\n# above\n\n# below\nc: 1\n"),
        ("l:\n  - a: 1\n    b: 2\n  - c: 1\n", "remove l[0].a", "l:\n  - b: 2\n  - c: 1\n"),
        ("l:\n  - a: 1 # x\n    # y\n    b: 2\n", "remove l[0].a", "l:\n  - # y\n    b: 2\n"),
        ("l:\n  - a: 1\n    b: 2\n", "remove l[0].b; remove l[0].a", "l:\n  - {}\n"),
        ("a:\n  b: 1 # c\nd: 1\n", "remove a.b", "a: {}\nd: 1\n"),
        ("a: # x\n  # y\n  b: 1\n  # z\nd: 1\n", "remove a.b", "a: {} # x\n  # y\n  # z\nd: 1\n"),
        ("a:\n- x\nb: 1\n", "remove a[0]", "a: []\nb: 1\n"),
        ("a: 1\n", "remove a", "{}\n"),
        ("a:\n  - x\n  - y\n  - z\n", "remove a[0]; remove a[1]", "a:\n  - y\n"),
        ("a:\n- - x\n  - y\n- z\n", "remove a[0][0]; remove a[1]", "a:\n- - y\n"),
        ("a: [x, y, z]\n", "remove a[1]; remove a[0]", "a: [z]\n"),
        ("a: [x, y, z]\n", "remove a[2]; remove a[1]; remove a[0]", "a: []\n"),
        ("a: { x: 1, y: 2 }\n", "remove a.x", "a: { y: 2 }\n"),
        ("a: {x: 1, y: 2}\n", "remove a.y", "a: {x: 1}\n"),
        ("a: {\n  x: 1,\n  y: 2\n}\n", "remove a.x; add a.z 3; remove a.y", "a: {\n  z: 3\n}\n"),
    ]);
}

#[test]
fn block_scalars_keep_their_style() {
    table(&[
        ("a: |\n  x\n  y\nb: 1\n", "set a \"p\\nq\\n\"", "a: |\n  p\n  q\nb: 1\n"),
        ("a: |- # c\n    x\nb: 1\n", "set a \"p\\n  q\"", "a: |- # c\n    p\n      q\nb: 1\n"),
        ("a: |-\n  x\nb: 1\n", "set a \"p\\n\"", "a: |\n  p\nb: 1\n"),
        ("a: |+\n  x\n\nb: 1\n", "set a \"p\\n\\n\"", "a: |+\n  p\n\nb: 1\n"),
        ("a: >-\n  x\n  y\nb: 1\n", "set a \"p q\"", "a: >-\n  p q\nb: 1\n"),
        ("a: |\n  x\nb: 1\n", "set a \" p\\n\"", "a: \" p\\n\"\nb: 1\n"),
        ("a: |\n  x\nb: 1\n", "set a 5", "a: 5\nb: 1\n"),
        ("a: | # c\n  x\nb: 1\n", "set a true", "a: true # c\nb: 1\n"),
        ("l:\n  - |\n    x\n  - y\n", "set l[0] \"p\\nq\\n\"", "l:\n  - |\n    p\n    q\n  - y\n"),
        ("a: |\n  {{ x }}\nb: 1\n", "set b 2; set a \"{{ y }}\\n\"", "a: |\n  {{ y }}\nb: 2\n"),
        ("a: |\n  ---\n  x\nb: 1\n", "set b 2", "a: |\n  ---\n  x\nb: 2\n"),
    ]);
}

#[test]
fn of_maps_and_lists_only_the_difference_changes() {
    table(&[
        (
            "a:\n  x: 1 # c\n  # d\n  y: 2\n  z: 3\n",
            "set a {\"x\":1,\"y\":\"m\",\"w\":[]}",
            "a:\n  x: 1 # c\n  # d\n  y: m\n  w: []\n",
        ),
        ("a:\n- x # c\n- y\n", "set a [\"x\",\"z\",\"w\"]", "a:\n- x # c\n- z\n- w\n"),
        ("a: [x, y, z]\n", "set a [\"x\"]", "a: [x]\n"),
        ("a: 1 # c\nb: 2\n", "set a {\"k\":1,\"l\":[\"m\"]}", "a: # c\n  k: 1\n  l:\n    - m\nb: 2\n"),
        ("a:\n  k: 1\n  l: 2\nb: 2\n", "set a 5", "a: 5\nb: 2\n"),
        ("a:\n  k: 1\n  l: 2\nb: 2\n", "set a [1,{\"x\":2}]", "a:\n  - 1\n  - x: 2\nb: 2\n"),
        (
            "l:\n  - k: 1\n    l: 2\n  - x\n",
            "set l[0] 5; set l[1] {\"p\":1,\"q\":2}",
            "l:\n  - 5\n  - p: 1\n    q: 2\n",
        ),
        ("a: |\n  x\nb: 1\n", "set a {\"k\":1}", "a:\n  k: 1\nb: 1\n"),
        ("a: {x: 1}\n", "set a [1]", "a:\n  - 1\n"),
        ("a: [{x: 1}]\n", "set a[0] [1]", "a: [[1]]\n"),
    ]);
}

#[test]
fn json_files_stay_json() {
    let pretty = "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\"\n    ]\n  }\n}\n";
    let tabs = "{\n\t\"a\": \"x\",\n\t\"b\": []\n}\n";
    table(&[
        (pretty, "set a \"yes\"", &pretty.replace("1,", "\"yes\",")),
        (
            pretty,
            "add b.d \"z\"",
            "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\"\n    ],\n    \"d\": \"z\"\n  }\n}\n",
        ),
        (
            pretty,
            "append b.c \"y\"",
            "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      \"x\",\n      \"y\"\n    ]\n  }\n}\n",
        ),
        (pretty, "remove a", "{\n  \"b\": {\n    \"c\": [\n      \"x\"\n    ]\n  }\n}\n"),
        (pretty, "remove b", "{\n  \"a\": 1\n}\n"),
        (pretty, "remove b.c[0]", "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": []\n  }\n}\n"),
        (tabs, "append b 1; set a \"a\\tb\"", "{\n\t\"a\": \"a\\tb\",\n\t\"b\": [1]\n}\n"),
        (tabs, "add c {\"d\":\"e\"}", "{\n\t\"a\": \"x\",\n\t\"b\": [],\n\t\"c\": {\"d\": \"e\"}\n}\n"),
        ("{\"a\":{\"b\":1}}", "add a.c \"d\"; add e null", "{\"a\":{\"b\":1,\"c\":\"d\"},\"e\":null}"),
        ("[{\"a\": 1}]\n", "add [0].b \"on\"", "[{\"a\": 1, \"b\": \"on\"}]\n"),
    ]);
}

#[test]
fn one_document_of_many_is_edited() {
    let text = "# head\n---\na: 1\n---\n# empty\n---\na: |\n  ---\n  x\n--- # c\na: 3\n...\n---\na: 4\n";
    let after = |document: usize, from: &str, to: &str| {
        let found = made(text, document, "set a 9").unwrap();
        assert_eq!(found, text.replacen(from, to, 1), "{document}");
    };
    after(0, "a: 1", "a: 9");
    after(2, "a: |\n  ---\n  x", "a: 9");
    after(3, "a: 3", "a: 9");
    after(4, "a: 4", "a: 9");
    assert_eq!(made(text, 1, "set a 9").unwrap_err().reason.code(), "empty-document");
    let refused = made(text, 5, "set a 9").unwrap_err();
    assert_eq!(refused.reason.to_string(), "there is no document 5, the file has 5 documents");
    assert_eq!(made("a: 1\n---\nb: 1\n---\nc: 1", 1, "add c 2").unwrap(), "a: 1\n---\nb: 1\nc: 2\n---\nc: 1");
}

#[test]
fn what_cannot_be_done_safely_is_refused() {
    refused(&[
        ("a: {{ .Values.x }}\nb: 1\n", "set b 2", "template"),
        ("a: \"{{ x }}\"\nb: 1\n", "set b 2", "template"),
        ("{{- if x }}\nb: 1\n{{- end }}\n", "set b 2", "template"),
        ("b: 1\n---\na: '{{ x }}'\n", "set b 2", "template"),
        ("b: 1\n", "set b \"{{ x }}\"", "template-value"),
        ("a: 1\nb: 1\na: 2\n", "set b 2", "duplicate-key"),
        ("b: 1\nc: {d: 1, 'd': 2}\n", "set b 2", "duplicate-key"),
        ("a: *x\nb: 1\n", "set b 2", "unreadable"),
        ("a:\n\tb: 1\n", "set a.b 2", "unreadable"),
        ("a: &x {b: 1}\nc: *x\n", "set a.b 2", "anchored"),
        ("a: &x {b: 1}\nc: *x\n", "set c.b 2", "alias"),
        ("a: &x {b: 1}\nc: *x\n", "set c 2", "alias"),
        ("a: &x {b: 1}\nc: *x\n", "remove a", "anchored"),
        ("a: &x {b: 1}\nc: *x\n", "remove c", "alias"),
        ("a: {b: &x 1}\nc: *x\n", "remove a", "anchor-used"),
        ("a: {b: &x 1}\nc: *x\n", "set a 1", "anchor-used"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n", "set c.b 2", "merged"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n", "add c.b 2", "merged"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "set a 2", "conflict"),
        ("a: 1\nsops:\n  mac: x\n", "set a 2", "encrypted"),
        ("a: 1\n", "set b 2", "not-found"),
        ("a: 1\n", "set b.c 2", "not-found"),
        ("a: [1]\n", "set a[1] 2", "not-found"),
        ("a: 1\n", "remove b", "not-found"),
        ("a: 1\n", "append b 2", "not-found"),
        ("a: 1\n", "add a 2", "exists"),
        ("a:\n", "add a 2", "exists"),
        ("a: 1\n", "add a.b 2", "not-a-container"),
        ("a: []\n", "add a.b 2", "not-a-container"),
        ("a: 1\n", "append a 2", "not-a-list"),
        ("a: [1]\n", "insert a[3] 2", "out-of-range"),
        ("a: [1]\n", "add a[3] 2", "out-of-range"),
        ("a: [1]\n", "insert a 2", "not-an-index"),
        ("a: !!str 1\n", "set a 2", "tagged"),
        ("a: |\n  x", "set a \"y\"", "end-of-file"),
        ("a: 1\rb: 2\n", "set a 2", "unsupported"),
        ("a: |\n  x", "add b \"y\"", "unproven"),
        ("# c\n", "add b \"y\"", "no-document"),
        ("---\n", "add b \"y\"", "empty-document"),
    ]);
}

#[test]
fn a_refusal_is_a_sentence_with_a_place() {
    let text = "a:\n  bé: &x 1\nc: *x\n";
    let refused = made(text, 0, "set a.bé 2").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "line 2, column 7: `a.bé` has the anchor `&x`, which is used elsewhere: the edit would change those places, too"
    );
}
