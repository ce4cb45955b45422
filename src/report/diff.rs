//! A file before and after in, the lines that differ out.

use std::fmt::Write;

use similar::udiff::UnifiedHunkHeader;
use similar::{Algorithm, ChangeTag, DiffOp, capture_diff_slices, group_diff_ops};

/// A unified diff as `git apply` and `patch -p1` read it; empty when nothing differs.
///
/// A line is what `\n` ends, so a file with CRLF keeps its line ends, and a lone `\r` is a character as any other.
pub fn unified(path: &str, before: &str, after: &str, context: usize) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let hunks = group_diff_ops(capture_diff_slices(Algorithm::Myers, &before, &after), context);
    let mut out = String::new();
    for hunk in hunks.iter().filter(|hunk| hunk.iter().any(|op| !matches!(op, DiffOp::Equal { .. }))) {
        if out.is_empty() {
            out = format!("--- {}\n+++ {}\n", header(&format!("a/{path}")), header(&format!("b/{path}")));
        }
        let _ = writeln!(out, "{}", UnifiedHunkHeader::new(hunk));
        for change in hunk.iter().flat_map(|op| op.iter_changes(&before, &after)) {
            let _ = write!(out, "{}{}", change.tag(), change.value());
            if !change.value().ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// A path as Git writes it in a header: quoted where it would break the line, and ended by a tab where it has a space.
fn header(path: &str) -> String {
    if path.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        let mut quoted = String::from("\"");
        for byte in path.bytes() {
            match byte {
                b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
                b' '..=b'~' => quoted.push(char::from(byte)),
                _ => quoted.extend(['\\', octal(byte >> 6), octal(byte >> 3), octal(byte)]),
            }
        }
        return quoted + "\"";
    }
    if path.contains(' ') { format!("{path}\t") } else { path.to_owned() }
}

/// The last digit of a byte as Git escapes it.
fn octal(byte: u8) -> char {
    char::from(b'0' + byte % 8)
}

/// A line of [`changed_lines`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'t> {
    /// Unchanged, between two changes. The number is of the file before.
    Same { number: usize, text: &'t str },
    /// The number is of the file before. Characters before `from` are the same in the line that replaces it.
    Removed { number: usize, text: &'t str, from: usize },
    /// The number is of the file after.
    Added { number: usize, text: &'t str, from: usize },
    /// Lines are left out here.
    Gap,
}

impl Line<'_> {
    /// The number that stands before the line.
    pub fn number(&self) -> usize {
        match self {
            Self::Same { number, .. } | Self::Removed { number, .. } | Self::Added { number, .. } => *number,
            Self::Gap => 0,
        }
    }
}

/// The lines that differ, for the eye: without line ends, and with what stands between two changes if that is little.
pub fn changed_lines<'t>(before: &'t str, after: &'t str) -> Vec<Line<'t>> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut lines = Vec::new();
    let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
    for (i, op) in ops.iter().enumerate() {
        if let DiffOp::Equal { old_index, len, .. } = *op {
            let inside = i > 0 && i + 1 < ops.len();
            match len {
                _ if !inside => {}
                1..=2 => {
                    lines
                        .extend((old_index..old_index + len).map(|at| Line::Same { number: at + 1, text: before[at] }));
                }
                _ => lines.push(Line::Gap),
            }
            continue;
        }
        let from = shared_start(&before[op.old_range()], &after[op.new_range()]);
        lines.extend(op.iter_changes(&before, &after).filter_map(|change| match change.tag() {
            ChangeTag::Delete => change.old_index().map(|at| Line::Removed { number: at + 1, text: before[at], from }),
            ChangeTag::Insert => change.new_index().map(|at| Line::Added { number: at + 1, text: after[at], from }),
            ChangeTag::Equal => None,
        }));
    }
    lines
}

/// How many characters the first line of both sides begins with alike; 0 unless one line replaces one.
fn shared_start(before: &[&str], after: &[&str]) -> usize {
    match (before, after) {
        ([before], [after]) => before.chars().zip(after.chars()).take_while(|(b, a)| b == a).count(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_can_be_applied_by_git() {
        let before = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n";
        let after = "a: 1\nb: 2\nc: 30\nd: 4\ne: 5\n";
        assert_eq!(
            unified("x.yaml", before, after, 1),
            "--- a/x.yaml\n+++ b/x.yaml\n@@ -2,3 +2,3 @@\n b: 2\n-c: 3\n+c: 30\n d: 4\n"
        );
        assert_eq!(unified("x.yaml", before, before, 3), "");
    }

    #[test]
    fn line_ends_are_kept_and_a_missing_one_is_said() {
        assert_eq!(
            unified("x", "a\r\nb\rc", "a\r\nb\rd", 3),
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\r\n-b\rc\n\\ No newline at end of file\n+b\rd\n\\ No newline at end of file\n"
        );
        assert_eq!(
            unified("x", "a", "a\nb\n", 3),
            "--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n"
        );
    }

    #[test]
    fn a_path_cannot_break_the_header() {
        assert!(unified("a b", "1\n", "2\n", 0).starts_with("--- a/a b\t\n+++ b/a b\t\n"));
        assert!(unified("x\n+++ b/y", "1\n", "2\n", 0).starts_with("--- \"a/x\\012+++ b/y\"\n"));
    }

    #[test]
    fn far_changes_have_a_gap_between_them() {
        let before = "1\n2\n3\n4\n5\n6\n";
        let after = "one\n2\ntwo\n4\n5\n6\nseven\n";
        let numbers: Vec<usize> = changed_lines(before, after).iter().map(Line::number).collect();
        assert_eq!(numbers, [1, 1, 2, 3, 3, 0, 7]);
        assert_eq!(changed_lines("a\r\nb\r\n", "a\r\nc\r\n")[1], Line::Added { number: 2, text: "c", from: 0 });
    }

    #[test]
    fn a_line_after_a_last_one_without_end_is_one_line_for_the_eye() {
        assert_eq!(changed_lines("a: 1", "a: 1\nb: 2"), [Line::Added { number: 2, text: "b: 2", from: 0 }]);
    }
}
