//! What an edit and an outline cost, as ratios to reading the same text in the same run: `cargo bench --bench yaml`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may fail")]

use std::hint::black_box;
use std::time::Instant;

use granit_parser::{Parser, options};
use kubecure::yaml::{Action, Edit, documents, edit, outline};
use serde_json::{Value, json};

const OBJECT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, tier: front}
spec:
  replicas: 3 # three zones
  template:
    spec:
      containers:
        - name: app
          image: ghcr.io/example/web:1.25.3
          resources:
            limits:
              memory: \"64Mi\" # raised twice already
              cpu: 100m
          env:
            - name: LEVEL
              value: info
";

/// The least of some runs, in milliseconds: the others had to share the machine.
fn least(mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..30).map(|_| once(&mut work)).fold(f64::MAX, f64::min)
}

/// Only the events of the parser that all of this stands on.
fn events(text: &str) {
    for event in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        black_box(event.unwrap());
    }
}

fn main() {
    let many: String = std::iter::repeat_n(format!("---\n{OBJECT}"), 500).collect();
    let indented = OBJECT.lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    let one = "kind: List\nitems:\n".to_owned() + &format!("-\n{indented}").repeat(500);
    let field = "spec.template.spec.containers[name=app].resources.limits.memory";
    for (name, text, document, path) in
        [("500 documents", &many, 250, field.to_owned()), ("one document", &one, 0, format!("items[250].{field}"))]
    {
        let edits = [Edit { path: path.parse().unwrap(), action: Action::Set(json!("128Mi")) }];
        let parsing = least(|| events(text));
        let saphyr = least(|| {
            let options = serde_saphyr::options! { legacy_octal_numbers: true, emit_comments: false, budget: None };
            black_box(serde_saphyr::from_multiple_with_options::<Value>(text, options).unwrap());
        });
        let editing = least(|| drop(black_box(edit(text, document, &edits).unwrap())));
        let outlining = least(|| drop(black_box(outline(text).unwrap())));
        let reading = least(|| drop(black_box(documents(text).unwrap())));
        println!(
            "{name}, {} lines; serde-saphyr reads them in {saphyr:.2} ms, the parser alone in {parsing:.2} ms",
            text.lines().count()
        );
        println!("  one edit   {editing:6.2} ms, {:.2} of serde-saphyr", editing / saphyr);
        println!("  outline    {outlining:6.2} ms, {:.2} of the parser alone", outlining / parsing);
        println!("  documents  {reading:6.2} ms, {:.2} of serde-saphyr", reading / saphyr);
    }
}
