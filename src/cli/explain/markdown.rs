//! A page of the catalogue in, text for the terminal out.
//!
//! Not a Markdown library: pages are ours, and hold headings, paragraphs, lists, tables and fenced blocks.

use crate::report::plain;

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";
/// Columns that text stands in under its heading, as in a manual page.
const INDENT: usize = 2;

/// The page's heading, without its mark.
pub fn title(page: &str) -> &str {
    page.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().trim()
}

/// The first sentence below the heading.
pub fn summary(page: &str) -> String {
    let lines = page.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let paragraph: Vec<&str> = lines.take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let paragraph = inline(&paragraph.join(" "), false);
    match paragraph.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => paragraph,
    }
}

/// The whole page, wrapped, without its fixtures.
pub fn text(page: &str, color: bool, width: usize) -> String {
    let mut writer = Writer { color, width, out: String::new(), blank: false, below_heading: false };
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            let ticks = 3 + fence.len() - fence.trim_start_matches('`').len();
            let end = "`".repeat(ticks);
            let code: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != end).collect();
            writer.code(fence.trim_start_matches('`').trim(), &code);
        } else if line.trim().is_empty() {
            writer.blank = !writer.below_heading;
        } else if line.starts_with('#') {
            writer.heading(line.trim_start_matches('#').trim());
        } else if line.starts_with('|') {
            writer.line(&inline(line, color));
        } else {
            // Lines of one paragraph or item belong together, whatever their length in the file.
            let mut paragraph = line.trim().to_owned();
            while let Some(more) = lines.next_if(|next| continues(next)) {
                paragraph.extend([" ", more.trim()]);
            }
            writer.paragraph(&paragraph);
        }
    }
    writer.out
}

/// Whether a line goes on with the paragraph or list item above it.
fn continues(line: &str) -> bool {
    let text = line.trim();
    !text.is_empty() && !text.starts_with(['#', '|']) && !text.starts_with("```") && item(text) == 0
}

/// Columns of the mark of a list item, 0 for other text.
fn item(text: &str) -> usize {
    if text.starts_with("- ") || text.starts_with("* ") {
        return 2;
    }
    match text.split_once(". ") {
        Some((number, _)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => number.len() + 2,
        _ => 0,
    }
}

struct Writer {
    color: bool,
    width: usize,
    out: String,
    /// An empty line is due: several become one, and those around what is left out do not add up.
    blank: bool,
    /// Text stands right under its heading.
    below_heading: bool,
}

impl Writer {
    fn line(&mut self, text: &str) {
        if std::mem::take(&mut self.blank) && !self.out.is_empty() {
            self.out.push('\n');
        }
        self.below_heading = false;
        self.out += format!("{}{text}", " ".repeat(INDENT)).trim_end();
        self.out.push('\n');
    }

    fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.blank = false;
        self.below_heading = true;
        let text = inline(text, false);
        let (bold, plain) = if self.color { (BOLD, PLAIN) } else { ("", "") };
        self.out.extend([bold, &text, plain, "\n"]);
    }

    fn paragraph(&mut self, text: &str) {
        let hang = item(text);
        // Wrapped before it is made bold: escapes have no width, but would be counted.
        let marked = links(text);
        let lines = plain::wrap(&marked, self.width - INDENT - hang);
        let mut bold = false;
        for (i, line) in lines.iter().enumerate() {
            let indent = if i == 0 { 0 } else { hang };
            let line = emphasis(line, self.color, &mut bold);
            self.line(&format!("{}{line}", " ".repeat(indent)));
        }
    }

    /// Fixtures are left out, everything else is shown as it is: a screen must keep its columns.
    fn code(&mut self, info: &str, lines: &[&str]) {
        let mut words = info.split_whitespace();
        let fixture = matches!((words.next(), words.next()), (Some("yaml" | "json" | "text"), Some(_)));
        if fixture {
            return;
        }
        for line in lines {
            self.line(&format!("  {}", plain::inline(line)));
        }
    }
}

/// Text of one line: links in words, emphasis without its marks.
fn inline(text: &str, color: bool) -> String {
    emphasis(&links(text), color, &mut false)
}

/// `[words](address)` reads "words (address)"; inside of the repository, the address tells a reader nothing.
fn links(text: &str) -> String {
    let text = plain::inline(text);
    let mut out = String::new();
    let mut rest: &str = &text;
    while let Some((before, words, address, after)) = link(rest) {
        out += before;
        out += words;
        if address.contains("://") && address != words {
            out.extend([" (", address, ")"]);
        }
        rest = after;
    }
    out + rest
}

/// The first link of a text: what comes before, its words, its address, what comes after.
fn link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let middle = text.find("](")?;
    let start = text[..middle].rfind('[')?;
    let end = middle + text[middle..].find(')')?;
    Some((&text[..start], &text[start + 1..middle], &text[middle + 2..end], &text[end + 1..]))
}

/// `**bold**` becomes bold, or loses its marks; code keeps its backticks and what is in them. `bold` runs from line to line.
fn emphasis(line: &str, color: bool, bold: &mut bool) -> String {
    let mut out = String::new();
    if *bold && color {
        out += BOLD;
    }
    for (i, part) in line.split('`').enumerate() {
        if i > 0 {
            out.push('`');
        }
        if i % 2 == 1 {
            out += part;
            continue;
        }
        for (j, piece) in part.split("**").enumerate() {
            if j > 0 {
                *bold = !*bold;
                if color {
                    out += if *bold { BOLD } else { PLAIN };
                }
            }
            out += piece;
        }
    }
    if *bold && color {
        out += PLAIN;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# oom-killed

The kernel killed a container because
it used more memory than its limit.

**The cure:** raise the limit, see [the policy](policy.md) and [why](https://k8s.example/x).

- at most twofold; past that, a leak is likelier than a tight limit, and a person should look
- within `limits.**max**`
1. then wait

## Case: the limit is tight

```yaml cluster
kind: Pod
```

```yaml apps/web.yaml
memory: 64Mi
```

```console
error[oom-killed]: container   `app`

  --> apps/web.yaml:1:9
```

```yaml
memory: 128Mi
```
";

    #[test]
    fn a_page_reads_as_text() {
        assert_eq!(
            text(PAGE, false, 60),
            "\
oom-killed
  The kernel killed a container because it used more memory
  than its limit.

  The cure: raise the limit, see the policy and why
  (https://k8s.example/x).

  - at most twofold; past that, a leak is likelier than a
    tight limit, and a person should look
  - within `limits.**max**`
  1. then wait

Case: the limit is tight
    error[oom-killed]: container   `app`

      --> apps/web.yaml:1:9

    memory: 128Mi
"
        );
    }

    #[test]
    fn headings_and_emphasis_are_bold_in_colour() {
        let text = text(PAGE, true, 60);
        assert!(text.starts_with("\x1b[1moom-killed\x1b[0m\n"), "{text}");
        assert!(text.contains("\x1b[1mThe cure:\x1b[0m raise"), "{text}");
    }

    #[test]
    fn the_summary_is_the_first_sentence() {
        assert_eq!(title(PAGE), "oom-killed");
        assert_eq!(summary(PAGE), "The kernel killed a container because it used more memory than its limit.");
        assert_eq!(summary(""), "");
    }

    #[test]
    fn a_fence_inside_of_a_fence_does_not_end_it() {
        assert_eq!(text("````console\n```\nx\n```\n````\ny\n", false, 60), "    ```\n    x\n    ```\n  y\n");
    }
}
