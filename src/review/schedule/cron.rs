//! A cron expression of five fields, as `crontab` and CronJob have it.
//!
//! The crate `cron` is behind it, and would surprise whoever knows those two: it wants seconds first, counts weekdays
//! from Sunday = 1, takes day of month and day of week as *and* where crontab takes them as *or*, and accepts dates that
//! never come. So the fields are read here, and the crate gets plain lists.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime as ChronoDateTime, Datelike, NaiveDate, Timelike, Utc};
use jiff::civil::{DateTime, date};
use serde::Deserialize;

/// When something starts, again and again, in some time zone's civil time.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Cron {
    text: String,
    /// Two, when both day of month and day of week are given: either is enough.
    either: Vec<cron::Schedule>,
}

/// One field: its name, its bounds, and names for its numbers from the lower bound.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    Field { name: "day of week", low: 0, high: 7, names: &WEEKDAYS },
];

/// The crate's last year; and one before any moment that a policy is asked about.
const YEARS: (i16, i16) = (1970, 2100);

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = words[..] else {
            return Err(match words.len() {
                1 if text.starts_with('@') => format!("`{text}` is a nickname; write its five fields"),
                6 => "a schedule has five fields, and this has six: seconds are not given".to_owned(),
                n => format!("a schedule has five fields, and this has {n}"),
            });
        };
        let mut read = Vec::with_capacity(5);
        for (word, field) in [minute, hour, day, month, weekday].into_iter().zip(&FIELDS) {
            read.push(field.read(word)?);
        }
        let any = |word: &str| word.starts_with(['*', '?']);
        let lines = if any(day) || any(weekday) {
            vec![format!("0 {}", read.join(" "))]
        } else {
            let (start, months) = (format!("0 {} {}", read[0], read[1]), &read[3]);
            vec![format!("{start} {} {months} *", read[2]), format!("{start} * {months} {}", read[4])]
        };
        let either = lines.iter().map(|line| line.parse().map_err(|_| format!("`{text}` is no schedule")));
        let cron = Self { text: text.to_owned(), either: either.collect::<Result<_, _>>()? };
        if cron.starts_after(date(2000, 1, 1).at(0, 0, 0, 0)).next().is_none() {
            return Err(format!("`{text}` never comes"));
        }
        Ok(cron)
    }
}

impl TryFrom<String> for Cron {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Field {
    /// The field as the crate wants it: `*`, or a list of single values, weekdays by name.
    fn read(&self, text: &str) -> Result<String, String> {
        if matches!(text, "*" | "?") {
            return Ok("*".to_owned());
        }
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            values.extend(self.item(item)?);
        }
        let words: Vec<String> = if self.high == 7 {
            // 7 is Sunday as well as 0.
            let days: BTreeSet<u8> = values.into_iter().map(|day| day % 7).collect();
            days.into_iter().map(|day| WEEKDAYS[usize::from(day)][..3].to_owned()).collect()
        } else {
            values.iter().map(ToString::to_string).collect()
        };
        Ok(words.join(","))
    }

    /// `5`, `5-7`, `*/2`, `5-20/5`, `5/10`.
    fn item(&self, item: &str) -> Result<impl Iterator<Item = u8> + use<>, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (low, mut high) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (self.low, if self.high == 7 { 6 } else { self.high }),
            Some((low, high)) => (self.number(low)?, self.number(high)?),
            None if step.is_some() => (self.number(range)?, self.high),
            None => (self.number(range)?, self.number(range)?),
        };
        if self.high == 7 && high == 0 && low > 0 {
            high = 7;
        }
        if low > high {
            return Err(format!("`{range}` runs backwards in the {} of the schedule", self.name));
        }
        let step = match step.map(str::parse::<u8>) {
            None => 1,
            Some(Ok(step)) if step > 0 => usize::from(step),
            Some(_) => return Err(format!("`{item}` has no step that is a number above 0")),
        };
        Ok((low..=high).step_by(step))
    }

    fn number(&self, word: &str) -> Result<u8, String> {
        let lower = word.to_ascii_lowercase();
        // Month names count from 1, weekday names from 0: as their fields do.
        let named = self.names.iter().zip(self.low..).find(|(name, _)| lower == name[..3] || lower == **name);
        let number = named.map(|(_, number)| number).or_else(|| word.parse().ok());
        number.filter(|n| (self.low..=self.high).contains(n)).ok_or_else(|| {
            let or = if self.names.is_empty() { "" } else { " or a name" };
            format!("`{word}` is no {}: a number from {} to {}{or} was expected", self.name, self.low, self.high)
        })
    }
}

impl Cron {
    /// The expression, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The starts after a reading of the clock, in order.
    pub fn starts_after(&self, civil: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let from = to_chrono(civil);
        merge(self.either.iter().map(move |schedule| schedule.after(&from).map(to_civil)).collect(), |a, b| a < b)
    }

    /// The starts at or before a reading of the clock, latest first.
    pub fn starts_until(&self, civil: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let from = to_chrono(civil.saturating_add(jiff::Span::new().seconds(1)));
        merge(self.either.iter().map(move |schedule| schedule.after(&from).rev().map(to_civil)).collect(), |a, b| a > b)
    }
}

/// Several ordered lists as one, each value once.
fn merge<I: Iterator<Item = DateTime>>(
    lists: Vec<I>,
    before: fn(&DateTime, &DateTime) -> bool,
) -> impl Iterator<Item = DateTime> {
    let mut lists: Vec<_> = lists.into_iter().map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let heads = lists.iter_mut().filter_map(|list| list.peek().copied());
        let first = heads.reduce(|a, b| if before(&b, &a) { b } else { a })?;
        for list in &mut lists {
            list.next_if_eq(&first);
        }
        Some(first)
    })
}

/// The crate knows no time zones that jiff knows, so it gets civil time as if it were UTC.
fn to_chrono(civil: DateTime) -> ChronoDateTime<Utc> {
    let year = i32::from(civil.year().clamp(YEARS.0, YEARS.1));
    let (month, day) = (civil.month().unsigned_abs(), civil.day().unsigned_abs());
    NaiveDate::from_ymd_opt(year, month.into(), day.into())
        .and_then(|date| {
            let (hour, minute) = (civil.hour().unsigned_abs(), civil.minute().unsigned_abs());
            date.and_hms_opt(hour.into(), minute.into(), civil.second().unsigned_abs().into())
        })
        .unwrap_or_default()
        .and_utc()
}

fn to_civil(at: ChronoDateTime<Utc>) -> DateTime {
    let small = |n: u32| i8::try_from(n).unwrap_or_default();
    let year = i16::try_from(at.year()).unwrap_or(YEARS.1);
    date(year, small(at.month()), small(at.day())).at(small(at.hour()), small(at.minute()), small(at.second()), 0)
}
