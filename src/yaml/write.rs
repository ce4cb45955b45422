//! A value in, YAML text out: quoted wherever some version of YAML would read another type.

use serde_json::{Map, Number, Value};

use super::scalar;

/// How the file around the new text is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub newline: &'static str,
    /// How much deeper a map stands than the key it belongs to.
    pub step: usize,
    /// How much deeper the dashes of a list stand than the key it belongs to.
    pub list_step: usize,
    /// Whether text of several lines becomes a literal block, or one quoted line.
    pub literal: bool,
}

/// How a flow collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Yaml,
    /// All text in double quotes.
    Json,
    /// JSON without a blank.
    Compact,
}

impl Flow {
    pub(super) fn comma(self) -> &'static str {
        if self == Self::Compact { "," } else { ", " }
    }

    pub(super) fn key(self, key: &str) -> String {
        let quoted = if self == Self::Yaml { self::key(key, true) } else { double(key) };
        quoted + if self == Self::Compact { ":" } else { ": " }
    }

    /// A value between brackets.
    pub(super) fn value(self, value: &Value) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}]", items.join(self.comma()))
            }
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| self.key(key) + &self.value(value);
                let entries: Vec<String> = map.iter().map(entry).collect();
                format!("{{{}}}", entries.join(self.comma()))
            }
            Value::String(text) if self != Self::Yaml => double(text),
            _ => scalar(value, true),
        }
    }
}

/// A scalar on one line.
pub(super) fn scalar(value: &Value, in_flow: bool) -> String {
    match value {
        Value::String(text) if scalar::is_safe_plain(text, in_flow) => text.clone(),
        Value::String(text) => double(text),
        Value::Number(number) => self::number(number),
        other => other.to_string(),
    }
}

/// A key, without its colon.
pub(super) fn key(text: &str, in_flow: bool) -> String {
    scalar(&Value::from(text), in_flow)
}

/// YAML 1.1 takes a number with an exponent for text unless it has a point and the exponent a sign.
pub(super) fn number(number: &Number) -> String {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return text };
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['+', '-']) { "" } else { "+" };
    format!("{mantissa}{point}e{sign}{exponent}")
}

/// Text in double quotes, valid as JSON too.
pub(super) fn double(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            let escapes = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            out.extend(escapes);
        }
    }
    out
}

/// Text in single quotes, unless it needs an escape.
pub(super) fn single(text: &str) -> Option<String> {
    text.chars().all(is_printable).then(|| format!("'{}'", text.replace('\'', "''")))
}

/// Whether a character may stand in a file as itself; line breaks and tabs may not, here.
pub(super) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

impl Manner {
    /// What follows the colon of a key that stands in that column.
    pub(super) fn after_key(&self, value: &Value, column: usize) -> String {
        match value {
            Value::Object(map) if !map.is_empty() => {
                format!("{}{}", self.newline, self.map(map, column + self.step))
            }
            Value::Array(items) if !items.is_empty() => {
                format!("{}{}", self.newline, self.list(items, column + self.list_step, 1))
            }
            _ => format!(" {}", self.leaf(value, column + self.step)),
        }
    }

    /// What follows a dash in that column; `gap` is the number of blanks after it.
    pub(super) fn after_dash(&self, value: &Value, column: usize, gap: usize) -> String {
        let blanks = " ".repeat(gap);
        let inner = column + 1 + gap;
        match value {
            Value::Object(map) if !map.is_empty() => blanks + self.map(map, inner).trim_start(),
            Value::Array(items) if !items.is_empty() => blanks + self.list(items, inner, 1).trim_start(),
            _ => blanks + &self.leaf(value, column + self.step),
        }
    }

    /// Lines of a map whose keys stand in that column; the last line is not ended.
    pub(super) fn map(&self, map: &Map<String, Value>, column: usize) -> String {
        let line = |(name, value): (&String, &Value)| {
            format!("{}{}:{}", " ".repeat(column), key(name, false), self.after_key(value, column))
        };
        map.iter().map(line).collect::<Vec<_>>().join(self.newline)
    }

    /// Lines of a list whose dashes stand in that column.
    pub(super) fn list(&self, items: &[Value], column: usize, gap: usize) -> String {
        let line = |item: &Value| format!("{}-{}", " ".repeat(column), self.after_dash(item, column, gap));
        items.iter().map(line).collect::<Vec<_>>().join(self.newline)
    }

    fn leaf(&self, value: &Value, column: usize) -> String {
        match value {
            Value::Object(_) => "{}".to_owned(),
            Value::Array(_) => "[]".to_owned(),
            Value::String(text) if self.literal && text.contains('\n') => {
                literal(text, column, self.newline).unwrap_or_else(|| double(text))
            }
            _ => scalar(value, false),
        }
    }
}

/// A literal block, from its `|` to the end of its last line, where the text can be one without an indentation indicator.
fn literal(text: &str, column: usize, newline: &str) -> Option<String> {
    let chomp = chomping(text)?;
    Some(format!("|{chomp}{newline}{}", block_lines(text, column, newline)?))
}

/// The chomping indicator for a text that ends with no line break or with one.
pub(super) fn chomping(text: &str) -> Option<&'static str> {
    match text.len() - text.trim_end_matches('\n').len() {
        0 => Some("-"),
        1 => Some(""),
        _ => None,
    }
}

/// The lines of a literal block, the last one not ended; `None` where blanks at a start or an end could be misread.
pub(super) fn block_lines(text: &str, column: usize, newline: &str) -> Option<String> {
    let body = text.trim_end_matches('\n');
    let is_fit = column > 0
        && !body.is_empty()
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with([' ', '\t'])
        && body.chars().all(|c| c == '\n' || c == '\t' || is_printable(c));
    if !is_fit {
        return None;
    }
    let line = |line: &str| if line.is_empty() { String::new() } else { " ".repeat(column) + line };
    Some(body.split('\n').map(line).collect::<Vec<_>>().join(newline))
}
