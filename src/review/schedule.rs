//! A schedule and a moment in, open or closed out.
//!
//! Windows say when pull requests may open, freezes when they may not, whatever the windows say. Both are written as a
//! person would write them: a cron expression in a time zone, and how long it lasts. Nothing here reads a clock.
//!
//! Daylight saving, decided once: a start that the clock skips is the moment after the gap, a start that comes twice is
//! the first of the two, and a duration is time that passes, so `0 22 * * *` for `8h` ends at 07:00 in the night in
//! which the clock is put forward.

mod cron;
mod when;

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::cron::Cron;
pub use self::when::{Duration, Moment, Zone};

/// When pull requests may open.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = super::policy::schema::inherited)]
pub struct Schedule {
    /// Pull requests open only inside one of these. No windows: at any time.
    pub windows: Vec<Recurring>,
    /// No pull request opens inside one of these, whatever the windows say.
    pub freeze: Vec<Freeze>,
}

/// A stretch of time that comes back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recurring {
    /// When it starts: minute, hour, day of month, month, day of week. `0 9 * * MON-FRI`.
    #[schemars(with = "String", extend("x-check" = "cron"))]
    pub cron: Cron,
    /// How long it lasts: `8h`, `1h30m`, `2d`.
    #[schemars(with = "String", extend("x-check" = "duration"))]
    pub duration: Duration,
    /// The time zone of `cron`, by its IANA name: `Europe/Berlin`. UTC when left out.
    #[serde(default)]
    #[schemars(with = "String", extend("x-check" = "zone", "default" = "UTC"))]
    pub timezone: Zone,
}

/// A stretch of time in which nothing opens: either `cron` and `duration`, or `from` and `to`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = super::policy::schema::inherited)]
pub struct Freeze {
    /// When it starts, if it comes back: `0 12 * * FRI`.
    #[schemars(with = "String", extend("x-check" = "cron"))]
    pub cron: Option<Cron>,
    /// How long it lasts, if it comes back.
    #[schemars(with = "String", extend("x-check" = "duration"))]
    pub duration: Option<Duration>,
    /// The first day or moment of a freeze that comes once: `2026-12-20`, `2026-12-20T18:00`.
    #[schemars(with = "String", extend("x-check" = "moment"))]
    pub from: Option<Moment>,
    /// The last day (all of it) or moment of a freeze that comes once. Without it, the freeze lasts until it is removed.
    #[schemars(with = "String", extend("x-check" = "moment"))]
    pub to: Option<Moment>,
    /// The time zone of the other keys. UTC when left out.
    #[serde(default)]
    #[schemars(with = "String", extend("x-check" = "zone", "default" = "UTC"))]
    pub timezone: Zone,
    /// Why, as it is shown to whoever waits for the pull request: `Black Friday`.
    #[schemars(with = "String")]
    pub reason: Option<String>,
}

/// Whether pull requests may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    Open,
    /// Not now: a phrase that says why, and when they may, if that moment is known.
    Closed {
        why: String,
        next: Option<Timestamp>,
    },
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Closed { why, next: Some(next) } => write!(f, "closed: {why}; opens {next}"),
            Self::Closed { why, next: None } => write!(f, "closed: {why}"),
        }
    }
}

/// Steps after which the search for the next opening gives up: a schedule that is frozen whenever it opens.
const MAX_STEPS: usize = 500;

impl Schedule {
    /// Whether pull requests may open at that moment.
    pub fn window(&self, now: Timestamp) -> Window {
        let frozen = self.freeze.iter().find(|freeze| freeze.end(now).is_some());
        if frozen.is_none() && self.is_inside(now) {
            return Window::Open;
        }
        let why = match frozen.map(|freeze| freeze.reason.as_deref()) {
            Some(Some(reason)) => format!("the policy has a freeze: {reason}"),
            Some(None) => "the policy has a freeze".to_owned(),
            None => "outside of the windows of the policy".to_owned(),
        };
        Window::Closed { why, next: self.next_open(now) }
    }

    fn is_inside(&self, now: Timestamp) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.end(now).is_some())
    }

    fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..MAX_STEPS {
            if at == Timestamp::MAX {
                return None;
            }
            if let Some(end) = self.freeze.iter().find_map(|freeze| freeze.end(at)) {
                at = end;
            } else if self.is_inside(at) {
                return Some(at);
            } else {
                at = self.windows.iter().filter_map(|window| window.next_start(at)).min()?;
            }
        }
        None
    }
}

impl Recurring {
    /// When the stretch that `now` lies in ends; `None` when it lies in none.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        end_of(&self.cron, self.duration, &self.timezone, now)
    }

    fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        self.cron.starts_after(self.timezone.civil(now)).map(|civil| self.timezone.instant(civil)).find(|at| *at > now)
    }
}

impl Freeze {
    /// When the freeze that `now` lies in ends (`Timestamp::MAX` for never); `None` when it lies in none.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        if let (Some(cron), Some(duration)) = (&self.cron, self.duration) {
            return end_of(cron, duration, &self.timezone, now);
        }
        let from = self.from.map_or(Timestamp::MIN, |moment| moment.start(&self.timezone));
        let to = self.to.map_or(Timestamp::MAX, |moment| moment.end(&self.timezone));
        (from <= now && now < to).then_some(to)
    }
}

/// The last start at or before `now` decides, for all stretches are equally long.
fn end_of(cron: &Cron, duration: Duration, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
    // In an hour that comes twice, a start that the clock shows as later can have been already.
    let from = zone.civil(now).checked_add(jiff::Span::new().hours(3)).ok()?;
    let start = cron.starts_until(from).map(|civil| zone.instant(civil)).find(|at| *at <= now)?;
    let end = start.checked_add(duration.0).unwrap_or(Timestamp::MAX);
    (now < end).then_some(end)
}

#[cfg(test)]
mod tests;
