//! Events in, lines out: one for each, as text or as JSON, never longer than a bound, and with the id of the incident
//! that was being worked, whoever says it.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::case::Timestamp;
use crate::report::plain;

/// The field that names an incident, on lines and on spans.
pub const INCIDENT: &str = "incident";
/// Bytes of a value, and fields of a line; with the rest of it, less than 64 kilobytes whatever happens.
const LONGEST_VALUE: usize = 1024;
const MOST_FIELDS: usize = 16;
const MESSAGE: &str = "message";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people. The level is coloured where the terminal shows it.
    Text { color: bool },
    /// For machines: an object a line.
    Json,
}

/// A layer of `tracing` that writes lines.
pub struct Lines<W> {
    format: Format,
    clock: fn() -> Timestamp,
    write: W,
}

impl<W: Fn(&str)> Lines<W> {
    /// `write` is given whole lines, the line break included.
    pub fn new(format: Format, clock: fn() -> Timestamp, write: W) -> Self {
        Self { format, clock, write }
    }
}

/// The incident of a span.
struct Incident(String);

impl<S: Subscriber + for<'s> LookupSpan<'s>, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(Value::String(incident)), Some(span)) = (fields.take(INCIDENT), context.span(id)) {
            span.extensions_mut().insert(Incident(incident));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if !fields.has(INCIDENT) {
            let mut spans = context.event_scope(event).into_iter().flatten();
            let of_span = spans.find_map(|span| span.extensions().get::<Incident>().map(|i| i.0.clone()));
            if let Some(incident) = of_span {
                fields.0.insert(0, (INCIDENT, incident.into()));
            }
        }
        let (level, now) = (*event.metadata().level(), (self.clock)());
        let line = match self.format {
            Format::Json => json(level, now, fields),
            Format::Text { color } => text(level, now, fields, color),
        };
        (self.write)(&line);
    }
}

/// The fields of an event, in their order.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        // What the log crate's events carry is about the line of code, and nobody here writes such.
        if self.0.len() < MOST_FIELDS && !field.name().starts_with("log.") {
            self.0.push((field.name(), value.into()));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| *field == name)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(field, _)| *field == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut short = Short(String::new());
        // Stops early where the value is longer: a whole list of pods is never put into words.
        let is_cut = write!(short, "{value:?}").is_err();
        let mut text = plain::inline(&short.0).into_owned();
        if is_cut {
            text.push(plain::ELLIPSIS);
        }
        self.add(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}

/// Takes so many bytes, and no more.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_VALUE - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.0.push_str(&text[..end]);
        Err(fmt::Error)
    }
}

/// `{"timestamp":…,"level":…,"message":…,"incident":…,…}`
fn json(level: Level, now: Timestamp, mut fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), format!("{now:.3}").into());
    line.insert("level".to_owned(), level.as_str().into());
    line.insert(MESSAGE.to_owned(), fields.take(MESSAGE).unwrap_or_else(|| "".into()));
    for (name, value) in fields.0 {
        line.entry(name).or_insert(value);
    }
    Value::Object(line).to_string() + "\n"
}

/// `2026-11-26T18:36:08Z INFO  the message  incident=oom-killed/deployment/shop/web failure=oom-killed`
fn text(level: Level, now: Timestamp, mut fields: Fields, color: bool) -> String {
    let style = match level {
        Level::ERROR => anstyle::AnsiColor::Red.on_default(),
        Level::WARN => anstyle::AnsiColor::Yellow.on_default(),
        _ => anstyle::Style::new(),
    };
    let style = if color { style } else { anstyle::Style::new() };
    let message = fields.take(MESSAGE).unwrap_or_default();
    let mut line = format!("{now:.0} {style}{:<5}{style:#} {}", level.as_str(), message.as_str().unwrap_or_default());
    for (name, value) in fields.0 {
        let _ = match &value {
            Value::String(word) if is_word(word) => write!(line, " {name}={word}"),
            value => write!(line, " {name}={value}"),
        };
    }
    line + "\n"
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{error, error_span, info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn noon() -> Timestamp {
        "2026-11-26T12:00:00.123456Z".parse().unwrap()
    }

    /// What is written while this runs.
    fn written(format: Format, run: impl FnOnce()) -> String {
        let page = Arc::new(Mutex::new(String::new()));
        let to = page.clone();
        let lines = Lines::new(format, noon, move |line: &str| to.lock().unwrap().push_str(line));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), run);
        let page = page.lock().unwrap();
        page.clone()
    }

    #[test]
    fn a_line_is_text_or_an_object() {
        let run = || {
            info!(pods = 3_u64, address = %"127.0.0.1:80", why = "two words", is_fast = true, "watching");
            warn!(empty = "", "said \"no\"");
        };
        assert_eq!(
            written(Format::Text { color: false }, run),
            "2026-11-26T12:00:00Z INFO  watching pods=3 address=127.0.0.1:80 why=\"two words\" is_fast=true\n\
             2026-11-26T12:00:00Z WARN  said \"no\" empty=\"\"\n"
        );
        assert_eq!(
            written(Format::Json, run),
            "{\"timestamp\":\"2026-11-26T12:00:00.123Z\",\"level\":\"INFO\",\"message\":\"watching\",\"pods\":3,\
             \"address\":\"127.0.0.1:80\",\"why\":\"two words\",\"is_fast\":true}\n\
             {\"timestamp\":\"2026-11-26T12:00:00.123Z\",\"level\":\"WARN\",\"message\":\"said \\\"no\\\"\",\"empty\":\"\"}\n"
        );
        assert!(written(Format::Text { color: true }, run).contains("\x1b[33mWARN \x1b[0m said"));
    }

    #[test]
    fn whoever_speaks_while_an_incident_is_worked_names_it() {
        let text = written(Format::Text { color: false }, || {
            error_span!("work", incident = %"oom-killed/deployment/shop/web").in_scope(|| {
                error_span!("deeper").in_scope(|| info!(tried = 2_u64, "the API server is busy"));
                info!(incident = "another", "its own word counts");
            });
            info!("and afterwards nobody does");
        });
        assert_eq!(
            text,
            "2026-11-26T12:00:00Z INFO  the API server is busy incident=oom-killed/deployment/shop/web tried=2\n\
             2026-11-26T12:00:00Z INFO  its own word counts incident=another\n\
             2026-11-26T12:00:00Z INFO  and afterwards nobody does\n"
        );
    }

    #[test]
    fn a_line_is_bounded_and_is_one_line_whatever_it_says() {
        for format in [Format::Json, Format::Text { color: false }] {
            let huge = "\u{301}\n\x1b[2J\"\\ü".repeat(1 << 20);
            let text = written(format, || error!(a = %huge, b = ?huge, c = huge.as_str(), "{huge}"));
            assert!(text.len() < 64 << 10 && text.contains(plain::ELLIPSIS), "{}", text.len());
            assert_eq!(text.lines().count(), 1);
            assert!(!text.contains('\x1b'));
            if format == Format::Json {
                serde_json::from_str::<Value>(&text).unwrap();
            }
        }
    }
}
