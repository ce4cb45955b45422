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
fn plain(text: &str) -> Value {
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

#[cfg(test)]
mod tests {
    use crate::yaml::documents;

    /// Each line as sigs.k8s.io/yaml 1.4 (the reader of kubectl and the API server) printed it.
    #[test]
    fn scalars_are_read_as_kubernetes_reads_them() {
        for (text, json) in [
            ("yes", "true"),
            ("Yes", "true"),
            ("YES", "true"),
            ("y", "true"),
            ("Y", "true"),
            ("n", "false"),
            ("no", "false"),
            ("on", "true"),
            ("On", "true"),
            ("oN", r#""oN""#),
            ("off", "false"),
            ("true", "true"),
            ("True", "true"),
            ("TRUE", "true"),
            ("tRue", r#""tRue""#),
            ("~", "null"),
            ("null", "null"),
            ("Null", "null"),
            ("NULL", "null"),
            ("nULL", r#""nULL""#),
            ("012", "10"),
            ("0644", "420"),
            ("08", "8"),
            ("0o7", "7"),
            ("0O7", "7"),
            ("0b11", "3"),
            ("-0b11", "-3"),
            ("-012", "-10"),
            ("+12", "12"),
            ("0x1F", "31"),
            ("0X1f", "31"),
            ("-0x1F", "-31"),
            ("1_000", "1000"),
            ("_1", r#""_1""#),
            ("1_", "1"),
            ("0_1", "1"),
            ("1__0", "10"),
            ("1e3", "1000"),
            ("1E3", "1000"),
            ("1e+3", "1000"),
            ("1.", "1"),
            (".5", "0.5"),
            ("1.5", "1.5"),
            ("-.5", "-0.5"),
            ("+.5", "0.5"),
            ("1_0.5", "10.5"),
            ("12:30", r#""12:30""#),
            ("12:30:45", r#""12:30:45""#),
            ("190:20:30", r#""190:20:30""#),
            ("2026-01-01", r#""2026-01-01""#),
            ("2026-01-01T00:00:00Z", r#""2026-01-01T00:00:00Z""#),
            ("2001-12-14t21:59:43.10-05:00", r#""2001-12-14t21:59:43.10-05:00""#),
            ("=", r#""=""#),
            ("<<", r#""<<""#),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709552000"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "-9223372036854776000"),
            ("00", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("1e400", r#""1e400""#),
            ("0x", r#""0x""#),
            ("0xG", r#""0xG""#),
            ("1.2.3", r#""1.2.3""#),
            ("0b12", r#""0b12""#),
            ("!!str 012", r#""012""#),
            (r#"!!int "3""#, "3"),
            ("!!float 3", "3"),
            ("!!bool yes", "true"),
            (r#"!!bool "yes""#, "true"),
            ("!foo 3", r#""3""#),
            ("! 3", r#""3""#),
            ("! yes", r#""yes""#),
            (r#"!!null """#, "null"),
            ("1e-7", "1e-7"),
            ("1e21", "1e+21"),
            ("100000000000000000000000", "1e+23"),
            ("0x8000000000000000", "9223372036854775808"),
            ("0xFFFFFFFFFFFFFFFF", "18446744073709551615"),
            ("0777777777777777777777777", "7.777777777777778e+23"),
            (".", r#"".""#),
            ("+", r#""+""#),
            ("-.", r#""-.""#),
            (".e3", r#"".e3""#),
            ("1e", r#""1e""#),
            ("0.1e1", "1"),
            ("010.5", "10.5"),
            ("09.5", "9.5"),
            ("1_000.5", "1000.5"),
            ("Infinity", r#""Infinity""#),
            ("nan", r#""nan""#),
            ("0x1p3", r#""0x1p3""#),
        ] {
            let text = format!("a: {text}\n");
            let value = documents(&text).unwrap()[0].value();
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let same = value["a"] == json || value["a"].as_f64().is_some_and(|a| json.as_f64() == Some(a));
            assert!(same, "{text:?} is {} and should be {json}", value["a"]);
        }
    }
}
