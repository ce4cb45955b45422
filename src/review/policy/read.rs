//! Files of `.kubecure/` in, policies and settings or every problem out.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::{Checker, nearest};
use super::decide::{Closeness, closeness, default_spec, is_match};
use super::node::{self, Node, Place};
use super::{API_VERSION, Level, Moment, Policies, Policy, PolicyFile, PolicyProblem, Zone, schema};
use crate::settings::Settings;

const KINDS: [&str; 2] = ["HealingPolicy", "Settings"];

/// What is read so far.
struct Reading {
    policies: Vec<Read>,
    settings: Option<(String, Settings)>,
    problems: Vec<PolicyProblem>,
}

/// A policy, its file, and the place of its name.
struct Read {
    file: String,
    place: Place,
    policy: Policy,
}

impl Policies {
    /// Reads the files of `.kubecure/`; those that are neither YAML nor JSON are passed over.
    ///
    /// Every problem, not the first. With an error among them nothing is read at all; warnings alone are kept in
    /// [`Policies::warnings`].
    pub fn read(files: &[PolicyFile<'_>]) -> Result<Self, Vec<PolicyProblem>> {
        let mut files: Vec<&PolicyFile<'_>> = files.iter().filter(|file| is_data(file.path)).collect();
        files.sort_by_key(|file| file.path);
        let mut reading = Reading { policies: Vec::new(), settings: None, problems: Vec::new() };
        for file in files {
            reading.file(file);
        }
        reading.compare();
        reading.problems.sort();
        if reading.problems.iter().any(|problem| problem.level == Level::Error) {
            return Err(reading.problems);
        }
        Ok(Self {
            own: reading.policies.into_iter().map(|read| (read.file, read.policy)).collect(),
            settings: reading.settings.map(|(_, settings)| settings).unwrap_or_default(),
            warnings: reading.problems,
            ..Self::built_in()
        })
    }
}

fn is_data(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| path.to_ascii_lowercase().ends_with(end))
}

impl Reading {
    fn file(&mut self, file: &PolicyFile<'_>) {
        let mut checker = Checker { file: file.path, problems: Vec::new() };
        match node::documents(file.text) {
            Err(unreadable) => checker.error(unreadable.place, unreadable.message, None),
            Ok(documents) => {
                for document in &documents {
                    self.document(&mut checker, document);
                }
            }
        }
        self.problems.append(&mut checker.problems);
    }

    fn document(&mut self, checker: &mut Checker<'_>, document: &Node) {
        let hint = Some(format!("a file here begins with `apiVersion: {API_VERSION}` and `kind: HealingPolicy`"));
        let Some(kind) = document.get("kind") else {
            return checker.error(document.place, "no object with a `kind`".to_owned(), hint);
        };
        let before = checker.problems.len();
        match kind.text() {
            Some("HealingPolicy") => {
                checker.check(document, schema::policy_schema(), "HealingPolicy");
                policy_checks(checker, document);
                if let Some(policy) = finish::<Policy>(checker, document, before, Some(default_spec())) {
                    self.policy(checker, document, policy);
                }
            }
            Some("Settings") => {
                checker.check(document, schema::settings_schema(), "Settings");
                let settings = finish::<Settings>(checker, document, before, None);
                match (&self.settings, settings) {
                    (Some((file, _)), Some(_)) => {
                        checker.error(kind.place, format!("there are settings already, in {file}"), None);
                    }
                    (None, Some(settings)) => self.settings = Some((checker.file.to_owned(), settings)),
                    (_, None) => {}
                }
            }
            Some(other) => {
                let near = nearest(other, KINDS.into_iter());
                let hint = near.map_or(hint, |near| Some(format!("the nearest kind is `{near}`")));
                checker.error(kind.place, format!("unknown kind `{other}`"), hint);
            }
            None => checker.error(kind.place, "`kind` must be text".to_owned(), hint),
        }
    }

    fn policy(&mut self, checker: &mut Checker<'_>, document: &Node, mut policy: Policy) {
        let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
        let Some((name, place)) = name.and_then(|name| Some((name.text()?, name.place))) else { return };
        name.clone_into(&mut policy.name);
        for exact in policy.r#match.namespaces.iter().filter(|entry| closeness(entry) == Closeness::Exact) {
            if let Some(exclude) = policy.r#match.exclude.iter().find(|exclude| is_match(exclude, exact)) {
                let message = format!("policy `{name}` names namespace `{exact}` and excludes it by `{exclude}`");
                let hint = "`exclude` wins, and has a default; to have the namespace, write `exclude: []`";
                checker.problem(Level::Warning, place, message, Some(hint.to_owned()));
            }
        }
        self.policies.push(Read { file: checker.file.to_owned(), place, policy });
    }

    /// What shows only when all policies are known.
    fn compare(&mut self) {
        let mut names: BTreeMap<&str, &Read> = BTreeMap::new();
        for (i, read) in self.policies.iter().enumerate() {
            let mut checker = Checker { file: &read.file, problems: Vec::new() };
            let name = &read.policy.name;
            if let Some(first) = names.get(name.as_str()) {
                let message = format!("there is a policy `{name}` already, in {}:{}", first.file, first.place.line);
                checker.error(read.place, message, Some("give each policy a name of its own".to_owned()));
            }
            names.entry(name).or_insert(read);
            for first in &self.policies[..i] {
                if let Some((a, b)) = first.policy.r#match.ties_with(&read.policy.r#match) {
                    let other = format!("policy `{}` in {}", first.policy.name, first.file);
                    let both = if a == b { format!("`{a}`") } else { format!("`{a}` and `{b}`") };
                    let message = format!("{other} is for the same things as `{name}` (namespace {both}), and wins");
                    let hint = "the first by file name wins; make one more specific: a namespace, kinds, labels";
                    checker.problem(Level::Warning, read.place, message, Some(hint.to_owned()));
                }
            }
            self.problems.append(&mut checker.problems);
        }
    }
}

/// The typed `spec` over its defaults, if nothing is wrong with the document.
fn finish<T: DeserializeOwned>(
    checker: &mut Checker<'_>,
    document: &Node,
    problems_before: usize,
    default: Option<Value>,
) -> Option<T> {
    if checker.problems.len() > problems_before {
        return None;
    }
    let spec = document.get("spec")?;
    let value = default.map_or_else(|| spec.value(), |default| over(default, spec.value()));
    match serde_json::from_value(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            // The schema lets nothing through that the types refuse, as far as the tests know.
            checker.error(spec.place, format!("not readable: {error}"), None);
            None
        }
    }
}

/// A value laid over its default: maps key by key, everything else whole.
fn over(default: Value, value: Value) -> Value {
    match (default, value) {
        (Value::Object(mut under), Value::Object(above)) => {
            for (key, value) in above {
                let value = match under.remove(&key) {
                    Some(default) => over(default, value),
                    None => value,
                };
                under.insert(key, value);
            }
            Value::Object(under)
        }
        (_, value) => value,
    }
}

/// What neither the schema nor a single value can tell.
fn policy_checks(checker: &mut Checker<'_>, document: &Node) {
    let freezes =
        document.get("spec").and_then(|spec| spec.get("schedule")).and_then(|schedule| schedule.get("freeze"));
    for freeze in freezes.into_iter().flat_map(Node::items) {
        freeze_checks(checker, freeze);
    }
}

fn freeze_checks(checker: &mut Checker<'_>, freeze: &Node) {
    let keys: Vec<&str> = freeze.entries().iter().map(|(key, _)| key.text.as_str()).collect();
    let (recurs, is_once) = (keys.contains(&"cron"), keys.contains(&"from") || keys.contains(&"to"));
    let message = match (recurs, is_once, keys.contains(&"duration")) {
        (true, true, _) => "a freeze is either `cron` and `duration` or `from` and `to`",
        (false, false, false) => "a freeze needs `cron` and `duration`, or `from` and `to`",
        (true, false, false) => "`duration` is missing in the freeze",
        (false, _, true) => "`cron` is missing in the freeze",
        _ => "",
    };
    if !message.is_empty() {
        checker.error(freeze.place, message.to_owned(), None);
    }
    let moment = |key| freeze.get(key).and_then(Node::text).and_then(|text| text.parse::<Moment>().ok());
    let zone: Zone = freeze.get("timezone").and_then(Node::text).and_then(|text| text.parse().ok()).unwrap_or_default();
    if let (Some(from), Some(to), Some(place)) = (moment("from"), moment("to"), freeze.get("to").map(|to| to.place))
        && to.end(&zone) <= from.start(&zone)
    {
        checker.error(place, "the freeze is over before it begins".to_owned(), None);
    }
}
