//! The names that dashboards and alerts are made of.

use jiff::SignedDuration;
use kubecure::report::metrics::Metrics;
use kubecure::report::metrics::names::{self, Kind, Label, Metric};

use super::{golden, root};

/// One series of each, so that each has its help.
fn one_of_each(metrics: &Metrics, metric: &Metric) {
    let value = |label: &Label| match label {
        Label::One { of, .. } => of[0],
        Label::FailureType => "oom-killed",
        Label::Namespace | Label::Watched | Label::Build(_) => "x",
    };
    let labels: Vec<&str> = metric.labels.iter().map(value).collect();
    match metric.kind {
        Kind::Counter => metrics.count(metric, &labels),
        Kind::Gauge => metrics.age(metric, &labels, Some(SignedDuration::from_secs(1))),
        Kind::Histogram(_) => metrics.observe(metric, &labels, 0.5),
    }
}

#[test]
fn metrics_have_the_names_types_and_labels_that_they_had() {
    let metrics = Metrics::default();
    for metric in names::ALL {
        one_of_each(&metrics, metric);
    }
    let text = metrics.text(|_| {});
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(said.len(), names::ALL.len() * 2, "each has its help and its type");
    golden(&root().join("tests/golden/metrics.txt"), &(said.join("\n") + "\n"));
}

#[test]
fn the_readme_lists_every_metric() {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- metrics -->\n", "<!-- end of metrics -->");
    let (before, rest) = readme.split_once(start).expect("README.md has a place for the table");
    let (_, after) = rest.split_once(end).expect("README.md says where the table ends");
    golden(&path, &format!("{before}{start}{}{end}{after}", names::table()));
}
