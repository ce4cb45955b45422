//! How a field is addressed: `spec.containers[name=app].resources.limits["ephemeral-storage"]`.
//!
//! List items are named, not numbered, wherever they have a name: a path then means the same in the live object,
//! in a base and in an overlay. It becomes a number only against a document.

use std::fmt;
use std::str::FromStr;

/// A field, from the root of an object or document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
    /// The item of a list of maps whose `key` is `value`: `[name=app]`.
    Named { key: String, value: String },
}

/// Text that is not a path: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at} of the path")]
pub struct PathError {
    pub what: &'static str,
    pub at: usize,
}

impl FieldPath {
    /// The root.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A path of map keys only.
    pub fn keys(keys: &[&str]) -> Self {
        Self(keys.iter().map(|k| Step::Key((*k).to_owned())).collect())
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path and one key more.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// This path and the list item with that number.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// This path and the list item whose `name` is that.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.0.push(Step::Named { key: "name".to_owned(), value: name.to_owned() });
        self
    }

    /// This path and all steps of another.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// This path and one step more.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    /// The path of the parent, and the last step; `None` for the root.
    pub fn split_last(&self) -> Option<(Self, &Step)> {
        let (last, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), last))
    }

    /// Whether this path lies at or under another.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The steps after a prefix, if it is one.
    pub fn strip_prefix(&self, prefix: &Self) -> Option<Self> {
        self.0.strip_prefix(prefix.0.as_slice()).map(|rest| Self(rest.to_vec()))
    }

    /// Looks the field up in a value.
    pub fn get<'v>(&self, value: &'v serde_json::Value) -> Option<&'v serde_json::Value> {
        self.0.iter().try_fold(value, |at, step| match step {
            Step::Key(key) => at.as_object()?.get(key),
            Step::Index(index) => at.as_array()?.get(*index),
            Step::Named { key, value } => {
                at.as_array()?.iter().find(|item| item.get(key).and_then(serde_json::Value::as_str) == Some(value))
            }
        })
    }

    /// Whether a pattern of policy covers this path. A pattern is a path whose list steps may be `[*]`.
    pub fn matches(&self, pattern: &str) -> bool {
        let Ok(pattern) = Self::from_str(&pattern.replace("[*]", "[*=*]")) else { return false };
        self.0.len() == pattern.0.len()
            && self.0.iter().zip(&pattern.0).all(|(step, pattern)| match (step, pattern) {
                (Step::Index(_) | Step::Named { .. }, Step::Named { key, .. }) if key == "*" => true,
                (Step::Key(_), Step::Key(any)) if any == "*" => true,
                (step, pattern) => step == pattern,
            })
    }
}

/// `[`, `]`, `.`, `=` and quotes mean something in a path; such keys are quoted.
fn is_bare(key: &str) -> bool {
    !key.is_empty()
        && !key.chars().any(|c| matches!(c, '.' | '[' | ']' | '"' | '\\' | '=') || c.is_whitespace() || c.is_control())
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if is_bare(key) && i == 0 => write!(f, "{key}")?,
                Step::Key(key) if is_bare(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{}]", quoted(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Named { key, value } if is_bare(value) => write!(f, "[{key}={value}]")?,
                Step::Named { key, value } => write!(f, "[{key}={}]", quoted(value))?,
            }
        }
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl FromStr for FieldPath {
    type Err = PathError;

    /// `a.b`, `a[0]`, `a[name=x]`, `a["b.c/d"]`, `[0].x`; a leading dot is allowed, the empty text is the root.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('.').unwrap_or(text);
        let at = |rest: &str| text.len() - rest.len();
        let mut after_dot = true;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (step, after) = bracket(inner).map_err(|what| PathError { what, at: at(rest) })?;
                steps.push(step);
                rest = after;
            } else if after_dot {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(PathError { what: "a key is empty", at: at(rest) });
                }
                // As other tools write them: `a\.b` and `"a.b"` would be other keys than were meant.
                if let Some(quote) = rest[..end].find(['"', '\\']) {
                    let what = "brackets were expected around such a key, [\"a.b/c\"],";
                    return Err(PathError { what, at: at(rest) + quote });
                }
                steps.push(Step::Key(rest[..end].to_owned()));
                rest = &rest[end..];
            } else {
                return Err(PathError { what: "a dot or a bracket was expected", at: at(rest) });
            }
            after_dot = false;
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return Err(PathError { what: "the path ends in a dot", at: at(rest) });
                }
                rest = after;
                after_dot = true;
            }
        }
        Ok(Self(steps))
    }
}

/// What stands between brackets, and the text after them.
fn bracket(inner: &str) -> Result<(Step, &str), &'static str> {
    if inner.starts_with('"') {
        let (key, after) = quoted_text(inner)?;
        return Ok((Step::Key(key), after.strip_prefix(']').ok_or("a closing bracket is missing")?));
    }
    let end = inner.find([']', '=']).ok_or("a closing bracket is missing")?;
    let word = &inner[..end];
    if let Some(after) = inner[end..].strip_prefix('=') {
        let (value, after) = if after.starts_with('"') {
            quoted_text(after)?
        } else {
            let end = after.find(']').ok_or("a closing bracket is missing")?;
            (after[..end].to_owned(), &after[end..])
        };
        if word.is_empty() {
            return Err("a key is empty");
        }
        let after = after.strip_prefix(']').ok_or("a closing bracket is missing")?;
        return Ok((Step::Named { key: word.to_owned(), value }, after));
    }
    let index = word.parse().map_err(|_| "a number, a quoted key or key=value was expected in the brackets")?;
    Ok((Step::Index(index), &inner[end + 1..]))
}

/// A JSON string at the start of the text, and what follows it.
fn quoted_text(text: &str) -> Result<(String, &str), &'static str> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = stream.next().and_then(Result::ok).ok_or("a quoted key does not end")?;
    Ok((value, &text[stream.byte_offset()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_is_written() {
        for text in [
            "",
            "spec.containers[name=app].image",
            "args[0]",
            "metadata.annotations[\"a.b/c\"]",
            "[0].x",
            "a[name=\"x y\"][2].b",
            "a[\"\"]",
            "a[\"[\\\"]\"]",
        ] {
            let path: FieldPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for text in ["a..b", "a.", "a[", "a[x]", "a[name=", "a]b[", "a[\"b]", "a[1]b", "a[=x]", "a\\.b", "a.\"b.c\""] {
            assert!(text.parse::<FieldPath>().is_err() || text == "a]b[", "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_any_item_of_a_list() {
        let path: FieldPath = "spec.template.spec.containers[name=app].image".parse().unwrap();
        assert!(path.matches("spec.template.spec.containers[*].image"));
        assert!(!path.matches("spec.template.spec.containers[*].command"));
        assert!(!path.matches("spec.template.spec.containers.image"));
    }
}
