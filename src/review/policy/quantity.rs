//! A Kubernetes quantity: `64Mi`, `500m`, `0.5`, `1e3`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A quantity in billionths, so that every unit is a whole number. Compares by value: `1Gi` is `1024Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

/// Text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no quantity")]
pub struct NoQuantity(String);

const UNIT: i128 = 1_000_000_000;
/// Far more than any cluster has, and far from overflow.
const LARGEST: i128 = 1 << 110;

impl FromStr for Quantity {
    type Err = NoQuantity;

    fn from_str(text: &str) -> Result<Self, NoQuantity> {
        parse(text).map(Self).ok_or_else(|| NoQuantity(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    // `1.2.3` leaves a dot, `.` and the empty text no digit.
    let mantissa: i128 = digits.parse().ok()?;
    let mut above = factor(suffix)?;
    let mut below = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let common = gcd(above, below);
    (above, below) = (above / common, below / common);
    let product = mantissa.checked_mul(above)?;
    // Kubernetes rounds up what is finer than a billionth.
    let value = product / below + i128::from(product % below != 0);
    (value < LARGEST).then_some(value)
}

/// What a suffix multiplies with, in billionths.
fn factor(suffix: &str) -> Option<i128> {
    let power = |base: i128, exponent: u32| base.checked_pow(exponent)?.checked_mul(UNIT);
    match suffix {
        "n" => Some(1),
        "u" => Some(1_000),
        "m" => Some(1_000_000),
        "" => Some(UNIT),
        "k" => power(1_000, 1),
        "M" => power(1_000, 2),
        "G" => power(1_000, 3),
        "T" => power(1_000, 4),
        "P" => power(1_000, 5),
        "E" => power(1_000, 6),
        "Ki" => power(1_024, 1),
        "Mi" => power(1_024, 2),
        "Gi" => power(1_024, 3),
        "Ti" => power(1_024, 4),
        "Pi" => power(1_024, 5),
        "Ei" => power(1_024, 6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let zeros = u32::try_from(exponent + 9).ok()?;
            10i128.checked_pow(zeros)
        }
    }
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Quantity {
    /// A quantity from a manifest's value: a text or a number.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.to_string().parse().ok(),
            _ => None,
        }
    }

    /// How many times the other one it is.
    #[expect(clippy::cast_precision_loss, reason = "a ratio is compared with what a person wrote, not computed with")]
    pub fn ratio(self, other: Self) -> f64 {
        self.0 as f64 / other.0 as f64
    }
}

impl fmt::Display for NoQuantityHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a number and a unit without a space: `512Mi`, `4Gi`, `500m`, `2`")
    }
}

/// What a quantity looks like, for whoever wrote none.
pub(super) struct NoQuantityHint;

/// A number is taken as the text that it is written as.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(from)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(other) => return Err(serde::de::Error::custom(format!("{other} is no quantity"))),
        None => None,
    })
}
