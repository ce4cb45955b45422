//! Text of a Kubernetes quantity in, a number out, and back in the unit that the file already uses.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go`. `64MiB` and `64 Mi` are no quantities; `128m` of
//! memory is 0.128 byte.

use serde_json::Value;

/// A quantity, exact to the thousandth. Counts of bytes, cores or objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Thousandths.
    milli: i128,
}

const UNITS: [(&str, i128); 14] = [
    ("m", 1),
    ("", 1000),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("Pi", 1000 << 50),
    ("Ei", 1000 << 60),
];

impl Quantity {
    /// `64Mi`, `0.5`, `500m`, `1e3`; `None` for anything that the API server would refuse.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        if let Some(exponent) = unit.strip_prefix(['e', 'E']).filter(|e| !e.is_empty()) {
            let exponent: i32 = exponent.parse().ok().filter(|e: &i32| e.abs() <= 18)?;
            return decimal(number, 1000)?
                .checked_mul(10i128.checked_pow(exponent.try_into().ok()?)?)
                .map(|milli| Self { milli });
        }
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        decimal(number, *scale).map(|milli| Self { milli })
    }

    /// A quantity as JSON has it: text or a number.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub const fn zero() -> Self {
        Self { milli: 0 }
    }

    /// Whole units (bytes, cores, objects), rounded down.
    pub fn whole(self) -> i128 {
        self.milli / 1000
    }

    pub fn is_zero(self) -> bool {
        self.milli == 0
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { milli: self.milli.saturating_add(other.milli) }
    }

    /// Times a factor, exact for halves and whole numbers.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a policy factor is small; thousandths are exact enough")]
        let thousandths = (factor * 1000.0).round() as i128;
        Self { milli: self.milli.saturating_mul(thousandths) / 1000 }
    }

    /// How many times another fits in this one.
    pub fn ratio(self, other: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a comparison with a factor like 2")]
        let ratio = self.milli as f64 / other.milli as f64;
        ratio
    }

    /// In the unit of another text of the same field, if it comes out whole there; else in the largest unit that does.
    pub fn like(self, model: &str) -> String {
        let unit = model.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        match scale {
            Some(scale) if self.milli % scale == 0 => format!("{}{unit}", self.milli / scale),
            _ => self.to_string(),
        }
    }
}

/// In the largest binary unit that comes out whole, else the largest decimal one.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.milli == 0 {
            return f.write_str("0");
        }
        let whole = |(_, scale): &&(&str, i128)| self.milli % scale == 0;
        let binary = UNITS[8..].iter().rev().find(whole).filter(|_| self.milli.abs() >= 1000 << 10);
        let found = binary.or_else(|| UNITS[..8].iter().rev().find(whole));
        match found {
            Some((unit, scale)) => write!(f, "{}{unit}", self.milli / scale),
            None => write!(f, "{}m", self.milli),
        }
    }
}

/// A decimal number in units of `scale` thousandths; a fraction finer than a thousandth is rounded up, as the API does.
fn decimal(number: &str, scale: i128) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let valid = |part: &str| part.chars().all(|c| c.is_ascii_digit()) && part.len() <= 24;
    if (whole.is_empty() && fraction.is_empty()) || !valid(whole) || !valid(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut milli = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        let power = 10i128.checked_pow(fraction.len().min(18).try_into().ok()?)?;
        let part: i128 = fraction[..fraction.len().min(18)].parse().ok()?;
        let scaled = part.checked_mul(scale)?;
        milli = milli.checked_add(scaled / power + i128::from(scaled % power != 0))?;
    }
    milli.checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_reads_is_read() {
        let same = [("1Gi", "1024Mi"), ("500m", "0.5"), ("1e3", "1k"), ("0.1Gi", "107374182.4"), ("2", "2000m")];
        for (a, b) in same {
            assert_eq!(Quantity::parse(a), Quantity::parse(b), "{a} {b}");
            assert!(Quantity::parse(a).is_some(), "{a}");
        }
        for no in ["64MiB", "64 Mi", "", "Mi", "1.2.3", "abc", "1mi", "0x10", "1e99", "--1"] {
            assert_eq!(Quantity::parse(no), None, "{no}");
        }
    }

    #[test]
    fn it_is_written_in_the_unit_of_the_file() {
        let double = |text: &str| Quantity::parse(text).unwrap().times(2.0).like(text);
        assert_eq!(double("64Mi"), "128Mi");
        assert_eq!(double("512Mi"), "1024Mi");
        assert_eq!(double("1Gi"), "2Gi");
        assert_eq!(double("250m"), "500m");
        assert_eq!(double("67108864"), "134217728");
        assert_eq!(double("0.5Gi"), "1Gi");
        assert_eq!(Quantity::parse("1.5Gi").unwrap().like("1.5Gi"), "1536Mi");
    }
}
