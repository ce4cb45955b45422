//! A scalar's text in, its value out, and back: in all versions of YAML that may read it.

use serde_json::{Number, Value};

use super::ScalarStyle;

/// The value of a scalar as Kubernetes reads it. Its reader (sigs.k8s.io/yaml) knows the words of YAML 1.1 and the
/// numbers of Go.
pub(super) fn read(text: &str, style: ScalarStyle, tag: Option<&str>) -> Value {
    match tag {
        None if style == ScalarStyle::Plain => plain(text),
        Some("!!int" | "!!float" | "!!bool" | "!!null") => plain(text),
        _ => Value::from(text),
    }
}

/// What a plain scalar means to Kubernetes.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

/// A number as Go's `ParseInt` with base 0 has it, or a decimal fraction.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    let (negative, body) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits.as_str()),
    };
    if let Some(number) = integer(negative, body) {
        return Some(number);
    }
    if !is_decimal(body) {
        return None;
    }
    let float: f64 = digits.parse().ok().filter(|f: &f64| f.is_finite())?;
    whole(float).or_else(|| Number::from_f64(float))
}

fn integer(negative: bool, body: &str) -> Option<Number> {
    let (digits, radix) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&body[2..], 16),
        [b'0', b'o' | b'O', ..] => (&body[2..], 8),
        [b'0', b'b' | b'B', ..] => (&body[2..], 2),
        [b'0', _, ..] => (&body[1..], 8),
        _ => (body, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None; // Rust would take a second sign
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    Some(Number::from(magnitude))
}

/// `1.5`, `.5`, `1.`, `1e3`, without a sign.
fn is_decimal(body: &str) -> bool {
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is = match mantissa.split_once('.') {
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction) && mantissa.len() > 1,
        None => all_digits(mantissa) && !mantissa.is_empty(),
    };
    let exponent_is = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    mantissa_is && exponent_is
}

/// A float without a fraction is an integer in JSON, as Kubernetes prints it.
fn whole(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() != 0.0 || float.abs() > EXACT {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough to be exact")]
    Some(Number::from(float as i64))
}

/// Whether text can stand without quotes and is this text to every version of YAML.
pub(super) fn is_safe_plain(text: &str, in_flow: bool) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let starts_well = match first {
        '-' => text.chars().nth(1).is_some_and(|c| !c.is_whitespace()) && !text.starts_with("---"),
        '?' | ':' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            false
        }
        _ => !text.starts_with("..."),
    };
    let in_flow_too = !in_flow || !(text.contains(['[', ']', '{', '}', ',']) || text.starts_with('-'));
    starts_well
        && in_flow_too
        && text.trim() == text
        && text.chars().all(super::write::is_printable)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !is_other_type(text)
}

/// Whether some reader of YAML 1.1 or 1.2 takes the plain text for something else than text.
fn is_other_type(text: &str) -> bool {
    const WORDS: [&str; 15] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "=", "<<", ".inf", ".nan", "nan"];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = |word: &&str| word.eq_ignore_ascii_case(text) || word.eq_ignore_ascii_case(unsigned);
    WORDS.iter().any(is_word) || !plain(text).is_string() || is_any_number(unsigned) || is_date(text)
}

/// Numbers in any base, with any grouping, and the base 60 of YAML 1.1: `1_000`, `0o17`, `0x1F`, `1,000.5`, `12:30`.
fn is_any_number(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    mantissa.contains(|c: char| c.is_ascii_digit())
        && mantissa.chars().all(|c| c.is_ascii_digit() || matches!(c, '_' | '.' | ',' | ':'))
        && mantissa.matches('.').count() < 2
        && exponent.chars().all(|c| c.is_ascii_digit() || c == '_')
}

/// `2026-01-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut number = |most: usize| {
        parts.next().is_some_and(|part| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    number(4) && number(2) && parts.next().is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_safe_plain;
    use crate::yaml::documents;

    #[test]
    fn text_that_some_yaml_reads_as_another_type_is_not_plain() {
        for text in [
            "",
            "on",
            "On",
            "yes",
            "no",
            "y",
            "N",
            "off",
            "true",
            "TRUE",
            "null",
            "Null",
            "~",
            "012",
            "0644",
            "1e3",
            "1E+3",
            "0x1F",
            "0o7",
            "0b1",
            "1_000",
            "12:30",
            "12:30:45",
            "190:20:30.15",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-1-1 00:00:00",
            ".inf",
            "-.INF",
            ".NaN",
            "=",
            "<<",
            "1.",
            ".5",
            "+1",
            "-0",
            "1,000",
            "-",
            "- a",
            "? a",
            ": a",
            "a: b",
            "a #b",
            "a:",
            " a",
            "a ",
            "a\tb",
            "a\nb",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "'a",
            "\"a",
            "%a",
            "@a",
            "`a",
            "[a",
            "{a",
            "---",
            "--- a",
            "...",
            "\u{feff}a",
            "a\u{85}b",
        ] {
            assert!(!is_safe_plain(text, false), "{text:?}");
        }
        for text in [
            "a",
            "64Mi",
            "100m",
            "1.25.3",
            "10.0.0.1",
            "nginx:1.25",
            "--flag=x",
            "-v",
            "a b",
            "a#b",
            "http://x/y?z#w",
            "é",
            "v1",
            "1e3Mi",
            "0x",
            "a-b",
            "2026-01",
            "app.kubernetes.io/name",
            "$(VAR)",
            "/a/b",
            "it's",
            "a, b",
            "{{",
        ] {
            assert_eq!(is_safe_plain(text, false), text != "{{", "{text:?}");
        }
        assert!(is_safe_plain("nginx:1.25", true) && !is_safe_plain("a, b", true) && !is_safe_plain("a]", true));
    }

    /// Each line of the table as sigs.k8s.io/yaml 1.4 (the reader of kubectl and the API server) printed it.
    #[test]
    fn scalars_are_read_as_kubernetes_reads_them() {
        for line in include_str!("scalars.tsv").lines() {
            let (text, json) = line.split_once('\t').unwrap();
            let value = documents(&format!("a: {text}\n")).unwrap()[0].value();
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let same = value["a"] == json || value["a"].as_f64().is_some_and(|a| json.as_f64() == Some(a));
            assert!(same, "{text:?} is {} and should be {json}", value["a"]);
        }
    }
}
