//! A file and the schema of its kind in, everything that is wrong with it out.
//!
//! One walk over both. What JSON Schema can say it says, so that an editor and this check never disagree; what it cannot
//! say (a quantity, a cron expression, a path) it names as `x-check`, and the checks are here.

use serde_json::{Map, Value};

use super::node::{Data, Node, Place};
use super::settle::LONGEST;
use super::{Cron, Duration, Level, Moment, PolicyProblem, Zone};
use crate::quantity::Quantity;
use crate::yaml::FieldPath;

/// What stands for something in a pull request's subject and sections.
pub const PLACEHOLDERS: &[&str] = &["help", "failure", "kind", "namespace", "name", "workload", "container", "file"];

/// The problems of one file, as they are found.
pub(super) struct Checker<'f> {
    pub(super) file: &'f str,
    pub(super) problems: Vec<PolicyProblem>,
}

impl Checker<'_> {
    pub(super) fn problem(&mut self, level: Level, place: Place, message: String, hint: Option<String>) {
        let Place { line, column, width } = place;
        self.problems.push(PolicyProblem { file: self.file.to_owned(), line, column, width, level, message, hint });
    }

    pub(super) fn error(&mut self, place: Place, message: String, hint: Option<String>) {
        self.problem(Level::Error, place, message, hint);
    }

    /// Checks a value that is called `name` where it stands.
    pub(super) fn check(&mut self, node: &Node, schema: &Value, name: &str) {
        let choices = choices(schema);
        if !choices.is_empty() {
            return self.choice(node, &choices, name);
        }
        if !self.has_type(node, schema, name) {
            return;
        }
        match &node.data {
            Data::Map(_) => self.map(node, schema, name),
            Data::List(items) => {
                if items.is_empty() && schema["minItems"].as_u64() > Some(0) {
                    self.error(node.place, format!("`{name}` is empty, so nothing would match"), None);
                }
                for item in items {
                    self.check(item, &schema["items"], name);
                }
            }
            Data::Number(_) => self.bounds(node, schema, name),
            Data::Text(text) if text.trim().is_empty() && schema["minLength"].as_u64() > Some(0) => {
                self.error(node.place, format!("`{name}` is empty"), None);
            }
            _ => {}
        }
        if let Some(check) = schema["x-check"].as_str() {
            self.named_check(node, check);
        }
    }

    fn choice(&mut self, node: &Node, choices: &[&str], name: &str) {
        let Some(text) = node.shown() else {
            return self.error(
                node.place,
                format!("`{name}` must be one of {}, and is {}", choices.join(", "), type_of(node)),
                null_hint(node),
            );
        };
        if !choices.contains(&text.as_str()) {
            let message = match name {
                "failure" => format!("unknown failure `{text}`"),
                _ => format!("`{text}` is no value of `{name}`"),
            };
            let hint = nearest(&text, choices.iter().copied())
                .map_or_else(|| format!("expected {}", choices.join(", ")), |near| format!("the nearest is `{near}`"));
            self.error(node.place, message, Some(hint));
        }
    }

    fn has_type(&mut self, node: &Node, schema: &Value, name: &str) -> bool {
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        let is_type = |wanted: &&str| match (&node.data, *wanted) {
            (Data::Map(_), "object")
            | (Data::List(_), "array")
            | (Data::Bool(_), "boolean")
            | (Data::Text(_), "string")
            | (Data::Number(_), "number") => true,
            (Data::Number(number), "integer") => number.is_u64() || number.is_i64(),
            _ => false,
        };
        if types.iter().any(is_type) {
            return true;
        }
        let wanted: Vec<&str> = types.iter().map(|name| word(name)).collect();
        let hint = match &node.data {
            Data::Number(_) | Data::Bool(_) if types == ["string"] => {
                Some(format!("put it in quotes: \"{}\"", node.shown().unwrap_or_default()))
            }
            Data::Text(text) if types == ["array"] => Some(format!("a list of one is written [{text:?}]")),
            _ => null_hint(node),
        };
        let message = format!("`{name}` must be {}, and is {}", wanted.join(" or "), type_of(node));
        self.error(node.place, message, hint);
        false
    }

    fn map(&mut self, node: &Node, schema: &Value, name: &str) {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        let other = &schema["additionalProperties"];
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in node.entries() {
            if seen.contains(&key.text.as_str()) {
                self.error(key.place, format!("`{}` is given twice", key.text), None);
                continue;
            }
            seen.push(&key.text);
            if let Some(property) = properties.get(&key.text) {
                self.check(value, property, &key.text);
            } else if other.is_object() {
                self.check(value, other, &key.text);
            } else {
                let keys = || properties.keys().map(String::as_str);
                let what = if name == "settle" { "unknown failure" } else { "unknown key" };
                let hint = match nearest(&key.text, keys()) {
                    Some(near) if name == "settle" => format!("the nearest is `{near}`"),
                    Some(near) => format!("the nearest key is `{near}`"),
                    None => format!("the keys of `{name}` are {}", keys().collect::<Vec<_>>().join(", ")),
                };
                self.error(key.place, format!("{what} `{}`", key.text), Some(hint));
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !seen.contains(&key) {
                self.error(node.place, format!("`{key}` is missing in `{name}`"), None);
            }
        }
    }

    fn bounds(&mut self, node: &Node, schema: &Value, name: &str) {
        let Data::Number(number) = &node.data else { return };
        let value = number.as_f64().unwrap_or(f64::NAN);
        let largest = match schema["format"].as_str() {
            Some("uint32") => f64::from(u32::MAX),
            // Beyond this, a JSON number is not exact.
            _ => 9_007_199_254_740_992.0,
        };
        let largest = schema["maximum"].as_f64().unwrap_or(largest);
        let least = schema["minimum"].as_f64().unwrap_or(f64::MIN);
        if value < least {
            self.error(node.place, format!("`{name}` must be at least {least}, and is {number}"), None);
        } else if value > largest {
            self.error(node.place, format!("`{name}` must be at most {largest}, and is {number}"), None);
        }
    }

    fn named_check(&mut self, node: &Node, check: &str) {
        if check == "trailers" {
            return self.trailers(node);
        }
        let Some(text) = node.shown() else { return };
        if let Err((message, hint)) = text_check(check, &text) {
            self.error(node.place, message, hint);
        }
    }

    fn trailers(&mut self, node: &Node) {
        for (key, value) in node.entries() {
            let is_token = !key.text.is_empty() && key.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if !is_token {
                let hint = "letters, digits and `-`: `Change-Class`".to_owned();
                self.error(key.place, format!("`{}` is no name of a trailer", key.text), Some(hint));
            } else if key.text.to_ascii_lowercase().starts_with("kubecure-") {
                self.error(key.place, format!("`{}` is KubeCure's own trailer", key.text), None);
            }
            if value.text().is_some_and(|text| text.contains('\n')) {
                self.error(value.place, "a trailer is one line".to_owned(), None);
            }
        }
    }
}

type Verdict = Result<(), (String, Option<String>)>;

fn text_check(check: &str, text: &str) -> Verdict {
    match check {
        "quantity" => Quantity::parse(text).map(drop).ok_or_else(|| {
            let hint = "write a number and a unit without a space: `512Mi`, `4Gi`, `500m`, `2`";
            (format!("`{text}` is no quantity"), Some(hint.to_owned()))
        }),
        "duration" => {
            let hint = "write it as `8h`, `10m`, `1h30m` or `2d`";
            text.parse::<Duration>().map(drop).map_err(|message| (message, Some(hint.to_owned())))
        }
        "settle" => {
            let hint = "write it as `30s`, `2m` or `1h30m`; one second at least, a day at most";
            let time = text.parse::<Duration>().map_err(|message| (message, Some(hint.to_owned())))?;
            if time.0 > LONGEST {
                return Err((format!("`{text}` is too long: nothing would be worked"), Some(hint.to_owned())));
            }
            Ok(())
        }
        "cron" => {
            let hint = "minute, hour, day of month, month, day of week: `0 9 * * MON-FRI`";
            text.parse::<Cron>().map(drop).map_err(|message| (message, Some(hint.to_owned())))
        }
        "moment" => {
            let hint = "write a day as `2026-12-20`, a moment as `2026-12-20T18:00`";
            text.parse::<Moment>().map(drop).map_err(|message| (message, Some(hint.to_owned())))
        }
        "zone" => text.parse::<Zone>().map(drop).map_err(|message| {
            let names = Zone::names();
            let near = nearest(text, names.iter().map(String::as_str));
            let hint =
                near.map_or("an IANA name: `Europe/Berlin`".to_owned(), |near| format!("the nearest is `{near}`"));
            (message, Some(hint))
        }),
        "field" => field(text),
        "namespace" => {
            name(text, "namespace", |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*'))
        }
        "kind" => kind(text),
        "subject" if text.contains('\n') => Err(("a subject is one line".to_owned(), None)),
        "subject" | "placeholders" => placeholders(text),
        "url" if !(text.starts_with("https://") || text.starts_with("http://")) => {
            Err((format!("`{text}` is no address"), Some("it begins with https:// or http://".to_owned())))
        }
        _ => Ok(()),
    }
}

fn field(text: &str) -> Verdict {
    let no_path = |why: String, hint: &str| Err((format!("`{text}` is no field: {why}"), Some(hint.to_owned())));
    match text.replace("[*]", "[*=*]").parse::<FieldPath>() {
        Err(error) => no_path(error.what.to_owned(), "write it as `spec.template.spec.containers[*].image`"),
        Ok(path) if path.is_root() => no_path("it is empty".to_owned(), "name a field of the object"),
        Ok(_) if text.starts_with('/') => no_path("it has slashes".to_owned(), "steps are divided by dots"),
        Ok(path) => match path.steps().first() {
            Some(crate::yaml::Step::Key(first)) if matches!(first.as_str(), "apiVersion" | "kind" | "status" | "*") => {
                no_path(
                    format!("`{first}` is nothing that could be changed"),
                    "begin with `spec`, `metadata` or `data`",
                )
            }
            _ => Ok(()),
        },
    }
}

fn name(text: &str, what: &str, is_allowed: fn(char) -> bool) -> Verdict {
    if !text.is_empty() && text.len() <= 63 && text.chars().all(is_allowed) {
        return Ok(());
    }
    let hint = "lower-case letters, digits and `-`, and `*` for any of them: `shop`, `team-*`";
    Err((format!("`{text}` is no {what}"), Some(hint.to_owned())))
}

fn kind(text: &str) -> Verdict {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if first.is_ascii_uppercase() && letters.all(|c| c.is_ascii_alphanumeric()) => Ok(()),
        _ => Err((format!("`{text}` is no kind"), Some("as manifests write it: `Deployment`, `CronJob`".to_owned()))),
    }
}

/// `{word}` must be one that stands for something; a brace alone is a brace.
fn placeholders(text: &str) -> Verdict {
    for piece in text.split('{').skip(1) {
        let Some((word, _)) = piece.split_once('}') else { continue };
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
        if is_word && !PLACEHOLDERS.contains(&word) {
            let hint = nearest(word, PLACEHOLDERS.iter().copied()).map_or_else(
                || format!("there are {}", PLACEHOLDERS.join(", ")),
                |near| format!("the nearest is `{near}`"),
            );
            return Err((format!("nothing stands for `{{{word}}}`"), Some(hint)));
        }
    }
    Ok(())
}

/// The values that a schema lists, if it lists any.
fn choices(schema: &Value) -> Vec<&str> {
    if let Some(only) = schema["const"].as_str() {
        return vec![only];
    }
    let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let variants = schema["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str());
    listed.chain(variants).collect()
}

/// What a person probably meant; nothing when nothing is near.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_ascii_lowercase();
    let scored = known.map(|known| (strsim::jaro_winkler(&lower, &known.to_ascii_lowercase()), known));
    let (score, near) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(near)
}

fn null_hint(node: &Node) -> Option<String> {
    matches!(node.data, Data::Null)
        .then(|| "leave the key out to have the default, or write [] or {} for none".to_owned())
}

fn type_of(node: &Node) -> &'static str {
    match &node.data {
        Data::Null => "nothing",
        Data::Bool(_) => word("boolean"),
        Data::Number(_) => word("number"),
        Data::Text(_) => word("string"),
        Data::List(_) => word("array"),
        Data::Map(_) => word("object"),
    }
}

fn word(json_type: &str) -> &'static str {
    match json_type {
        "object" => "a map",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "text",
    }
}
