//! Edited files in, a unified diff out, and how much it is.

use similar::{ChangeTag, TextDiff};

use crate::case::EditedFile;

/// A unified diff of all files, with three lines of context.
pub fn unified(files: &[EditedFile]) -> String {
    let mut out = String::new();
    for file in files {
        let diff = TextDiff::from_lines(&*file.before, file.after.as_str());
        let (old, new) = (format!("a/{}", file.path), format!("b/{}", file.path));
        out.push_str(&diff.unified_diff().context_radius(3).header(&old, &new).to_string());
    }
    out
}

/// Lines that are new or different, and lines that are gone without another in their place.
pub fn changed_lines(files: &[EditedFile]) -> usize {
    let count = |file: &EditedFile, tag| {
        let diff = TextDiff::from_lines(&*file.before, file.after.as_str());
        diff.iter_all_changes().filter(|change| change.tag() == tag).count()
    };
    files.iter().map(|file| count(file, ChangeTag::Insert).max(count(file, ChangeTag::Delete))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_line_and_what_stands_around_it() {
        let before = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n";
        let file =
            EditedFile { path: "x.yaml".to_owned(), before: before.into(), after: before.replace("e: 5", "e: 6") };
        assert_eq!(
            unified(std::slice::from_ref(&file)),
            "--- a/x.yaml\n+++ b/x.yaml\n@@ -2,4 +2,4 @@\n b: 2\n c: 3\n d: 4\n-e: 5\n+e: 6\n"
        );
        assert_eq!(changed_lines(&[file]), 1);
    }
}
