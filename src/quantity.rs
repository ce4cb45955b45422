//! Text of a Kubernetes quantity in, a number out, and back in the unit that the file already uses.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go`. `64MiB` and `64 Mi` are no quantities; `128m` of
//! memory is 0.128 byte.

use serde_json::Value;

/// A quantity in billionths, so that every unit is a whole number. Counts of bytes, cores or objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nano: i128,
}

const ONE: i128 = 1_000_000_000;

/// Far more than any cluster has, and far from overflow.
const LARGEST: i128 = 1 << 110;

/// Decimal units first, then binary ones, each from small to large.
const UNITS: [(&str, i128); 16] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", ONE),
    ("k", ONE * 1_000),
    ("M", ONE * 1_000_000),
    ("G", ONE * 1_000_000_000),
    ("T", ONE * 1_000_000_000_000),
    ("P", ONE * 1_000_000_000_000_000),
    ("E", ONE * 1_000_000_000_000_000_000),
    ("Ki", ONE << 10),
    ("Mi", ONE << 20),
    ("Gi", ONE << 30),
    ("Ti", ONE << 40),
    ("Pi", ONE << 50),
    ("Ei", ONE << 60),
];
const BINARY: usize = 10;

impl Quantity {
    /// `64Mi`, `0.5`, `500m`, `1e3`; `None` for anything that the API server would refuse.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let nano = match unit.strip_prefix(['e', 'E']).filter(|exponent| !exponent.is_empty()) {
            Some(exponent) => {
                let exponent: i32 = exponent.parse().ok().filter(|e: &i32| (-9..=18).contains(e))?;
                decimal(number, 10i128.checked_pow(u32::try_from(exponent + 9).ok()?)?)?
            }
            None => decimal(number, UNITS.iter().find(|(name, _)| *name == unit)?.1)?,
        };
        (nano < LARGEST).then_some(Self { nano })
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
        Self { nano: 0 }
    }

    /// Whole units (bytes, cores, objects), rounded down.
    pub fn whole(self) -> i128 {
        self.nano / ONE
    }

    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano) }
    }

    /// Times a factor, exact for halves and whole numbers.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a policy factor is small; thousandths are exact enough")]
        let thousandths = (factor * 1000.0).round() as i128;
        Self { nano: self.nano.saturating_mul(thousandths) / 1000 }
    }

    /// How many times the other one it is.
    #[expect(clippy::cast_precision_loss, reason = "a ratio is compared with what a person wrote, not computed with")]
    pub fn ratio(self, other: Self) -> f64 {
        self.nano as f64 / other.nano as f64
    }

    /// In the unit of another text of the same field, if it comes out whole there; else in the largest unit that does.
    pub fn like(self, model: &str) -> String {
        let unit = model.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
        match scale {
            Some(scale) if self.nano % scale == 0 => format!("{}{unit}", self.nano / scale),
            _ => self.to_string(),
        }
    }

    /// For a reader: `23.4Gi` instead of `24581696Ki`. Only for amounts of bytes.
    pub fn rounded(self) -> String {
        let unit = UNITS[BINARY..].iter().rev().find(|(_, scale)| self.nano >= *scale);
        match unit {
            Some((_, scale)) if self.nano % scale == 0 => self.to_string(),
            Some((unit, scale)) => {
                let tenths = (self.nano * 10 + scale / 2) / scale;
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
            None => self.to_string(),
        }
    }
}

/// In the largest binary unit that comes out whole, else the largest decimal one.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let whole = |(_, scale): &&(&str, i128)| self.nano % scale == 0;
        let binary = UNITS[BINARY..].iter().rev().find(whole).filter(|_| self.nano >= ONE << 10);
        match binary.or_else(|| UNITS[..BINARY].iter().rev().find(whole)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.nano / scale),
            None => write!(f, "{}n", self.nano),
        }
    }
}

/// A decimal number in units of `scale` billionths; what is finer than a billionth is rounded up, as the API does.
fn decimal(number: &str, scale: i128) -> Option<i128> {
    // Negative ones can be written, but no field takes one.
    let digits = number.strip_prefix('+').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let valid = |part: &str| part.chars().all(|c| c.is_ascii_digit()) && part.len() <= 24;
    if (whole.is_empty() && fraction.is_empty()) || !valid(whole) || !valid(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nano = whole.checked_mul(scale)?;
    if !fraction.is_empty() {
        let power = 10i128.checked_pow(fraction.len().min(18).try_into().ok()?)?;
        let part: i128 = fraction[..fraction.len().min(18)].parse().ok()?;
        let common = gcd(scale, power);
        let (scale, power) = (scale / common, power / common);
        let scaled = part.checked_mul(scale)?;
        nano = nano.checked_add(scaled / power + i128::from(scaled % power != 0))?;
    }
    Some(nano)
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
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
        assert_eq!(Quantity::parse("24581696Ki").unwrap().rounded(), "23.4Gi");
        assert_eq!(Quantity::parse("128Mi").unwrap().rounded(), "128Mi");
    }
}
