//! The words in which a policy speaks of time: a duration, a time zone, a day or moment.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The time zones that are part of the program: a policy means the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A length of time, written as `8h`, `10m`, `1h30m` or `2d`, or as ISO 8601 has it: `PT10M`. More than none, at most
/// a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Duration(pub SignedDuration);

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no duration");
        if let Some(iso) = text.strip_prefix('P') {
            let (days, time) = iso.split_once('T').unwrap_or((iso, ""));
            // An M before the T would be months.
            let is_days = days.is_empty() || days.ends_with('D');
            let ours = format!("{days}{time}").to_ascii_lowercase();
            return if is_days && !ours.is_empty() { ours.parse().map_err(|_| wrong()) } else { Err(wrong()) };
        }
        let mut seconds: i64 = 0;
        let mut units = UNITS.iter();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
            // Each unit at most once and the largest first, so `units` is not rewound.
            let (unit, factor) = units.find(|(unit, _)| rest[digits..].starts_with(*unit)).ok_or_else(wrong)?;
            seconds = number.checked_mul(*factor).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        match seconds {
            0 if text.is_empty() => Err("a duration is missing".to_owned()),
            0 => Err(format!("`{text}` lasts no time at all")),
            1..=31_622_400 => Ok(Self(SignedDuration::from_secs(seconds))),
            _ => Err(format!("`{text}` is longer than a year")),
        }
    }
}

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.as_secs();
        for (unit, factor) in UNITS {
            if seconds >= factor {
                write!(f, "{}{unit}", seconds / factor)?;
                seconds %= factor;
            }
        }
        Ok(())
    }
}

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ZONES.get(text).map(Self).map_err(|_| format!("unknown time zone `{text}`"))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Zone {
    /// Every name there is.
    pub fn names() -> Vec<String> {
        ZONES.available().map(|name| name.to_string()).collect()
    }

    /// What the clock on the wall shows at that moment.
    pub fn civil(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// The moment at which the clock on the wall shows that, the first of two; the end of the gap when it never does.
    ///
    /// This never runs backwards: of two readings of the clock the later has the later moment, or the same.
    pub fn instant(&self, civil: DateTime) -> Timestamp {
        let ambiguous = self.0.to_ambiguous_timestamp(civil);
        let offset = ambiguous.offset();
        // Out of range only at the very ends of time, year -9999 and 9999.
        let at = ambiguous.compatible().unwrap_or(Timestamp::MAX);
        match offset {
            AmbiguousOffset::Gap { .. } => self.last_change(at).unwrap_or(at),
            _ => at,
        }
    }

    fn last_change(&self, at: Timestamp) -> Option<Timestamp> {
        let just_after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
        self.0.preceding(just_after).next().map(|change| change.timestamp())
    }
}

/// A day, a reading of the clock on the wall, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Moment {
    Day(Date),
    Clock(DateTime),
    Instant(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // jiff reads a date where a date and time is asked for and the other way round: the length decides.
        let is_day = text.len() == "2026-12-20".len();
        if is_day && let Ok(day) = text.parse() {
            return Ok(Self::Day(day));
        }
        if !is_day && let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        match text.parse() {
            Ok(clock) if !is_day => Ok(Self::Clock(clock)),
            _ => Err(format!("`{text}` is no day and no moment")),
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Moment {
    /// The moment at which it begins.
    pub fn start(&self, zone: &Zone) -> Timestamp {
        match self {
            Self::Day(day) => zone.instant(day.to_datetime(Time::midnight())),
            Self::Clock(clock) => zone.instant(*clock),
            Self::Instant(instant) => *instant,
        }
    }

    /// The moment at which it is over: a day is over at midnight.
    pub fn end(&self, zone: &Zone) -> Timestamp {
        match self {
            Self::Day(day) => day.tomorrow().map_or(Timestamp::MAX, |next| Self::Day(next).start(zone)),
            Self::Clock(_) | Self::Instant(_) => self.start(zone),
        }
    }
}
