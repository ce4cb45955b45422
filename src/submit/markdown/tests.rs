use std::sync::LazyLock;

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};
use regex::Regex;

use super::*;

/// What a forge would act on in Markdown, in words; empty for what only shows text.
fn acts(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for event in Parser::new_ext(
        markdown,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES | Options::ENABLE_TASKLISTS,
    ) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => found.push(format!("html {html}")),
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
            Event::Start(Tag::Paragraph) | Event::Code(_) | Event::End(_) | Event::SoftBreak => {}
            Event::Start(tag) => found.push(format!("{tag:?}")),
            Event::Text(text) if !in_code => found.extend(references(&text)),
            Event::Text(_) => {}
            other => found.push(format!("{other:?}")),
        }
    }
    found.extend(markdown.lines().filter(|line| line.starts_with('/')).map(|line| format!("command {line}")));
    found
}

/// Mentions, references, links and invisible characters in the text of a page.
pub(in crate::submit) fn references(text: &str) -> Vec<String> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        let mention = r"(^|[^a-z0-9_])@[a-z0-9]";
        let rest = r"#[0-9a-z]|\bGH-[0-9]|://|www\.|:[a-z0-9_+-]+:|<!--|![0-9]";
        let commit = r"\b[0-9a-f]*[0-9][0-9a-f]*\b";
        Regex::new(&format!("(?i){mention}|{rest}|{commit}")).unwrap()
    });
    let hits = PATTERN.find_iter(text).map(|hit| hit.as_str().to_owned());
    hits.filter(|hit| !hit.chars().all(|c| c.is_ascii_hexdigit()) || hit.len() >= 7)
        .chain(text.chars().filter(|c| is_unseen(*c)).map(|c| format!("{c:?}")))
        .collect()
}

pub(in crate::submit) const HOSTILE: &[&str] = &[
    "@alice and @org/team, please",
    "fixes #1, closes GH-12, see owner/repo#3",
    "see https://evil.example/x or www.evil.example or ftp://x",
    "mail me@evil.example",
    "[click](https://evil.example)",
    "![](https://evil.example/pixel.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- kubecure:end -->",
    "--> <!-- kubecure {\"v\":1} -->",
    "/approve",
    "/lgtm\n/merge",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "> quotation",
    "=====",
    "---",
    "***bold*** _it_ __b__ ~~s~~",
    "| a | b |",
    "```\nout of the block\n```",
    "`a` ``b`` ```c",
    "`unpaired",
    "\u{1b}[31mred\u{1b}[0m \u{1b}]8;;https://evil.example\u{7}link\u{1b}]8;;\u{7}",
    "\u{202e}gnp.exe\u{202c} zero\u{200b}width",
    "commit 2f1a9c0d and 0123456789abcdef0123456789abcdef01234567",
    ":tada: :100:",
    "good:tada",
    "$\\frac{1}{2}$ &lt;b&gt; &#64;alice",
    "[^1] [x]: https://evil.example",
    "line\r\nline\u{2028}line\u{85}line",
    "&commat;alice \\@alice",
    "!12 %3 ~label $7",
    "",
    " ",
    "`",
    "a\\",
];

#[test]
fn hostile_text_only_shows() {
    for text in HOSTILE {
        for (how, markdown) in [
            ("prose", prose(text)),
            ("code", code(text)),
            ("after words", format!("so {}", prose(text))),
            ("bold", format!("**it {}**", prose(text))),
        ] {
            let bold = |act: &String| how == "bold" && act == "Strong";
            let found: Vec<String> = acts(&markdown).into_iter().filter(|act| !bold(act)).collect();
            assert!(found.is_empty(), "{how} of {text:?}: {markdown:?} does {found:?}");
            assert!(!markdown.contains('\n'), "{markdown:?}");
        }
        let block = fenced("text", text, 1_000);
        let outside = acts(&format!("a\n\n{block}\nb"))
            .into_iter()
            .filter(|act| !act.starts_with("CodeBlock"))
            .collect::<Vec<_>>();
        assert!(outside.is_empty(), "{block:?} does {outside:?}");
    }
}

#[test]
fn a_cell_stays_one_cell() {
    for text in HOSTILE {
        let table = format!("| | |\n|-|-|\n| x | {} {} |\n", cell(&prose(text)), cell(&code(text)));
        let cells = Parser::new_ext(&table, Options::ENABLE_TABLES)
            .filter(|event| matches!(event, Event::Start(Tag::TableCell)))
            .count();
        assert_eq!(cells, 4, "{table:?}");
    }
}

#[test]
fn quiet_text_stays_as_it_is() {
    for text in [
        "Container web of Deployment shop/web keeps running out of memory (killed 6 times).",
        "the limit is 64Mi; it needs at least 96Mi at start, 50% more",
        "exit code 137, since 23:43 UTC: a \"quoted\" word, read-only, DB_HOST=x",
    ] {
        assert_eq!(prose(text), text);
    }
    assert_eq!(prose("container `web` of `a``b` is fine"), "container `web` of `a` `b` is fine");
    assert_eq!(prose("image a@sha256:0f, then"), "image `a@sha256:0f`, then");
    assert_eq!(code("a `b` c"), "``a `b` c``");
    assert_eq!(code("`b`"), "`` `b` ``");
}

#[test]
fn a_title_or_message_notifies_nobody_and_stops_no_check() {
    for (text, want) in [
        ("ping @alice about #1", "ping @ alice about # 1"),
        ("closes GH-3", "closes GH 3"),
        ("x [skip ci]", "x 'skip ci'"),
        ("see https://evil.example", "see https: //evil.example"),
        ("Co-authored-by: Eve", "Co-authored-by Eve"),
        ("KubeCure-Fix: 1", "KubeCure Fix: 1"),
        ("registry/x@sha256:0f", "registry/x@sha256:0f"),
        ("a\nb\u{202e}c\u{1b}[1m", "a bc"),
    ] {
        assert_eq!(plain(text, 255), want);
    }
}

#[test]
fn a_cut_is_seen_and_never_splits_a_character() {
    assert_eq!(cut("äöü", 3), "äöü");
    assert_eq!(cut("äöüäöüäöü", 8), "äö … cut");
    let block = fenced("", &"line\n".repeat(100), 50);
    assert!(block.contains("… cut: 90 more lines"), "{block}");
}

#[test]
fn what_hides_in_a_diff_is_made_visible() {
    assert_eq!(fenced("diff", "+a\u{202e}b\tc\r\n/x\n", 100), "```diff\n+a<U+202E>b\tc\n /x\n```\n");
}

#[test]
fn a_hidden_line_ends_where_we_end_it() {
    let line = hidden(&serde_json::json!({"v": 1, "name": "--> <!-- @x -- <b>", "--": "---"}));
    let inner = line.strip_prefix("<!-- kubecure ").unwrap().strip_suffix(" -->\n").unwrap();
    assert!(!inner.contains("--") && !inner.contains(['<', '>']), "{line}");
    let back: Value = serde_json::from_str(inner).unwrap();
    assert_eq!(back["name"], "--> <!-- @x -- <b>");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_does_anything(text in "[ -~\\n\\t`@#*_<>\\[\\]()!|~$/:\u{202e}\u{1b}é]{0,60}") {
        let markdown = format!("{} and {}", prose(&text), code(&text));
        let found = acts(&markdown);
        prop_assert!(found.is_empty(), "{:?} does {:?}", markdown, found);
        let bold = format!("**it {}** x", prose(&text));
        let found: Vec<String> = acts(&bold).into_iter().filter(|act| act != "Strong").collect();
        prop_assert!(found.is_empty(), "{:?} does {:?}", bold, found);
    }
}
