//! How things are written: titles, gutters, notes, and their colours.

use annotate_snippets::{Level, Renderer};
use anstyle::{AnsiColor, Style};

use crate::report::diff::Line;
use crate::report::plain;

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const GUTTER: Style = AnsiColor::BrightBlue.on_default().bold();

/// The longest text of one note: past that, it is read as JSON or not at all.
const NOTE_COLUMNS: usize = 600;

/// Writes in one width, with colour or without.
pub struct Pen {
    pub renderer: Renderer,
    pub color: bool,
    pub width: usize,
}

impl Pen {
    pub fn new(color: bool, width: usize) -> Self {
        let width = width.clamp(80, 120);
        let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
        Self { renderer: renderer.term_width(width), color, width }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// `error[oom-killed]: container `web` ...`
    pub fn error(&self, id: &str, text: &str) -> String {
        let title = Level::ERROR.primary_title(text).id(id);
        self.renderer.render(&[annotate_snippets::Group::with_title(title)]) + "\n"
    }

    /// `help: raise the limit to 128Mi   (rule, 92 sure)`
    pub fn help(&self, text: &str) -> String {
        let title = Level::HELP.secondary_title(text);
        self.renderer.render(&[annotate_snippets::Group::with_title(title)]) + "\n"
    }

    /// `warning: apps/web.yaml: cannot be read`, wrapped.
    pub fn warning(&self, text: &str) -> String {
        let text = plain::inline(text);
        let lines = plain::wrap(&plain::cut(&text, NOTE_COLUMNS), self.width - 9).join("\n");
        self.renderer.render(&[annotate_snippets::Group::with_title(Level::WARNING.primary_title(lines))]) + "\n"
    }

    /// `   |`
    pub fn bar(&self, digits: usize) -> String {
        format!("{} {}\n", " ".repeat(digits), self.paint(GUTTER, "|"))
    }

    /// `  --> apps/web/deployment.yaml`: which file a diff is of.
    pub fn file(&self, digits: usize, path: &str) -> String {
        format!("{}{} {}\n", " ".repeat(digits), self.paint(GUTTER, "-->"), plain::inline(path))
    }

    /// `   = cause: ...`, wrapped; every item of `texts` begins on a line of its own.
    pub fn note(&self, digits: usize, name: &str, texts: &[String]) -> String {
        let lead = digits + 3 + name.len() + 2;
        let mut out = format!("{} {} {}: ", " ".repeat(digits), self.paint(GUTTER, "="), self.bold(name));
        let mut first = true;
        for text in texts {
            let text = plain::inline(text);
            // What belongs to a numbered or quoted item stands under its text, not under its number.
            let hang = hang(&text);
            let lines = plain::wrap(&plain::cut(&text, NOTE_COLUMNS), self.width - lead - hang);
            for (i, line) in lines.iter().enumerate() {
                let indent = if i == 0 { 0 } else { hang };
                if !first {
                    out += &" ".repeat(lead);
                }
                out.extend([&" ".repeat(indent), line, "\n"]);
                first = false;
            }
        }
        out
    }

    /// `16 -               memory: "64Mi"`
    pub fn diff_line(&self, digits: usize, line: &Line) -> String {
        let (sign, style, text, from) = match line {
            Line::Same { text, .. } => ("|", GUTTER, text, 0),
            Line::Removed { text, from, .. } => ("-", RED, text, *from),
            Line::Added { text, from, .. } => ("+", GREEN, text, *from),
            Line::Gap => return self.paint(GUTTER, "...") + "\n",
        };
        let columns = self.width - digits - 3;
        let text = text.replace('\t', "    ");
        let shown = plain::window(&plain::inline(&text), from, columns);
        let number = self.paint(GUTTER, &format!("{:>digits$}", line.number()));
        let changed = if matches!(line, Line::Same { .. }) { shown } else { self.paint(style, &shown) };
        format!("{number} {} {changed}", self.paint(style, sign)).trim_end().to_owned() + "\n"
    }
}

/// Columns of a leading `1. ` or `E1 `.
fn hang(text: &str) -> usize {
    let Some((word, _)) = text.split_once(' ') else { return 0 };
    let number = word.strip_prefix('E').or_else(|| word.strip_suffix('.')).unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) { word.len() + 1 } else { 0 }
}
