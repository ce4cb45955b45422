use jiff::ToSpan;
use jiff::civil::date;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn every(cron: &str, duration: &str, zone: &str) -> Recurring {
    Recurring { cron: cron.parse().unwrap(), duration: duration.parse().unwrap(), timezone: zone.parse().unwrap() }
}

fn schedule(windows: &[(&str, &str, &str)]) -> Schedule {
    Schedule {
        windows: windows.iter().map(|(cron, duration, zone)| every(cron, duration, zone)).collect(),
        freeze: vec![],
    }
}

fn frozen(from: Option<&str>, to: Option<&str>, zone: &str) -> Freeze {
    Freeze {
        cron: None,
        duration: None,
        from: from.map(|text| text.parse().unwrap()),
        to: to.map(|text| text.parse().unwrap()),
        timezone: zone.parse().unwrap(),
        reason: Some("holidays".to_owned()),
    }
}

/// `open`, or when it opens next.
fn shown(schedule: &Schedule, now: &str) -> String {
    match schedule.window(at(now)) {
        Window::Open => "open".to_owned(),
        Window::Closed { next, .. } => next.map_or("never".to_owned(), |next| next.to_string()),
    }
}

#[test]
fn without_windows_it_is_always_open() {
    assert_eq!(schedule(&[]).window(at("2026-11-25T03:00:00Z")), Window::Open);
}

#[test]
fn a_window_opens_at_its_start_and_closes_at_its_end() {
    let hours = schedule(&[("0 9 * * MON-FRI", "8h", "UTC")]);
    // 2026-11-25 is a Wednesday.
    for (now, expected) in [
        ("2026-11-25T08:59:59Z", "2026-11-25T09:00:00Z"),
        ("2026-11-25T09:00:00Z", "open"),
        ("2026-11-25T16:59:59Z", "open"),
        ("2026-11-25T17:00:00Z", "2026-11-26T09:00:00Z"),
        ("2026-11-27T17:00:00Z", "2026-11-30T09:00:00Z"),
        ("2026-11-29T12:00:00Z", "2026-11-30T09:00:00Z"),
    ] {
        assert_eq!(shown(&hours, now), expected, "{now}");
    }
}

#[test]
fn weekdays_by_number_are_those_of_crontab() {
    // Monday to Sunday, 2026-11-23 to 2026-11-29.
    for (weekdays, open) in [
        ("1-5", "MTWTF__"),
        ("0", "______S"),
        ("7", "______S"),
        ("0-6", "MTWTFSS"),
        ("5-7", "____FSS"),
        ("6-0", "_____SS"),
        ("sat,SUN", "_____SS"),
        ("Fri-Sun", "____FSS"),
        ("1-5/2", "M_W_F__"),
        ("*/2", "_T_T_SS"),
        ("2,4", "_T_T___"),
        ("monday", "M______"),
    ] {
        let week = schedule(&[(&format!("0 0 * * {weekdays}"), "24h", "UTC")]);
        let days = (23..30).zip("MTWTFSS".chars());
        let seen: String = days
            .map(|(day, letter)| {
                let now = date(2026, 11, day).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
                if week.window(now) == Window::Open { letter } else { '_' }
            })
            .collect();
        assert_eq!(seen, open, "{weekdays}");
    }
}

#[test]
fn an_overnight_window_spans_midnight_and_the_end_of_the_month() {
    let night = schedule(&[("30 22 * * *", "7h30m", "UTC")]);
    for (now, expected) in [
        ("2026-11-30T22:29:59Z", "2026-11-30T22:30:00Z"),
        ("2026-11-30T23:59:59Z", "open"),
        ("2026-12-01T05:59:59Z", "open"),
        ("2026-12-01T06:00:00Z", "2026-12-01T22:30:00Z"),
        ("2027-01-01T00:00:00Z", "open"),
    ] {
        assert_eq!(shown(&night, now), expected, "{now}");
    }
}

#[test]
fn the_last_days_of_a_month_come_when_they_exist() {
    let last = schedule(&[("0 0 31 * *", "1d", "UTC")]);
    assert_eq!(shown(&last, "2026-11-15T00:00:00Z"), "2026-12-31T00:00:00Z");
    let leap = schedule(&[("0 0 29 feb *", "1d", "UTC")]);
    assert_eq!(shown(&leap, "2026-11-15T00:00:00Z"), "2028-02-29T00:00:00Z");
}

#[test]
fn day_of_month_and_day_of_week_are_either_as_in_crontab() {
    let either = schedule(&[("0 0 13 * FRI", "1d", "UTC")]);
    assert_eq!(shown(&either, "2026-11-25T00:00:00Z"), "2026-11-27T00:00:00Z");
    assert_eq!(shown(&either, "2026-12-12T00:00:00Z"), "2026-12-13T00:00:00Z");
}

#[test]
fn the_policys_time_zone_counts_through_the_year() {
    let berlin = schedule(&[("0 9 * * *", "1h", "Europe/Berlin")]);
    assert_eq!(shown(&berlin, "2026-01-15T00:00:00Z"), "2026-01-15T08:00:00Z");
    assert_eq!(shown(&berlin, "2026-07-15T00:00:00Z"), "2026-07-15T07:00:00Z");
}

#[test]
fn a_start_that_the_clock_skips_is_the_end_of_the_gap() {
    // 2026-03-29, 02:00 to 03:00 does not exist in Berlin: 01:00Z.
    let night = schedule(&[("30 2 * * *", "1h", "Europe/Berlin")]);
    assert_eq!(shown(&night, "2026-03-29T00:59:59Z"), "2026-03-29T01:00:00Z");
    assert_eq!(shown(&night, "2026-03-29T01:00:00Z"), "open");
    assert_eq!(shown(&night, "2026-03-29T02:00:00Z"), "2026-03-30T00:30:00Z");
}

#[test]
fn a_start_that_comes_twice_is_the_first() {
    // 2026-10-25, 02:00 to 03:00 comes twice in Berlin: from 00:00Z and from 01:00Z.
    let night = schedule(&[("30 2 * * *", "15m", "Europe/Berlin")]);
    assert_eq!(shown(&night, "2026-10-25T00:30:00Z"), "open");
    assert_eq!(shown(&night, "2026-10-25T01:30:00Z"), "2026-10-26T01:30:00Z");
}

#[test]
fn a_duration_is_time_that_passes() {
    let night = schedule(&[("0 22 * * *", "8h", "Europe/Berlin")]);
    // The night is an hour short, then an hour long: 07:00 and 05:00 on the clock.
    assert_eq!(shown(&night, "2026-03-29T04:59:59Z"), "open");
    assert_eq!(shown(&night, "2026-03-29T05:00:00Z"), "2026-03-29T20:00:00Z");
    assert_eq!(shown(&night, "2026-10-25T03:59:59Z"), "open");
    assert_eq!(shown(&night, "2026-10-25T04:00:00Z"), "2026-10-25T21:00:00Z");
}

#[test]
fn a_freeze_closes_over_any_window() {
    let mut hours = schedule(&[("0 9 * * MON-FRI", "8h", "UTC")]);
    hours.freeze.push(frozen(Some("2026-12-21"), Some("2027-01-01"), "UTC"));
    assert_eq!(shown(&hours, "2026-12-18T10:00:00Z"), "open");
    // The last day is frozen whole; then comes a weekend.
    assert_eq!(shown(&hours, "2026-12-22T10:00:00Z"), "2027-01-04T09:00:00Z");
    assert_eq!(
        hours.window(at("2027-01-01T23:59:59Z")).to_string(),
        "closed: the policy has a freeze: holidays; opens 2027-01-04T09:00:00Z"
    );
}

#[test]
fn a_freeze_that_comes_back_closes_each_time() {
    let mut always = schedule(&[]);
    always.freeze.push(Freeze {
        cron: Some("0 12 * * FRI".parse().unwrap()),
        duration: Some("60h".parse().unwrap()),
        ..frozen(None, None, "UTC")
    });
    assert_eq!(shown(&always, "2026-11-27T11:59:59Z"), "open");
    assert_eq!(shown(&always, "2026-11-27T12:00:00Z"), "2026-11-30T00:00:00Z");
    assert_eq!(shown(&always, "2026-11-30T00:00:00Z"), "open");
}

#[test]
fn a_freeze_without_an_end_never_opens() {
    let mut always = schedule(&[]);
    always.freeze.push(frozen(Some("2026-11-01T12:00"), None, "America/New_York"));
    assert_eq!(shown(&always, "2026-11-01T16:59:59Z"), "open");
    assert_eq!(shown(&always, "2026-11-01T17:00:00Z"), "never");
    let mut never = schedule(&[("0 9 * * *", "1h", "UTC")]);
    never.freeze.push(Freeze {
        cron: Some("* * * * *".parse().unwrap()),
        duration: Some("1h".parse().unwrap()),
        ..frozen(None, None, "UTC")
    });
    assert_eq!(shown(&never, "2026-11-01T09:30:00Z"), "never");
}

#[test]
fn a_moment_with_an_offset_needs_no_time_zone() {
    let moment: Moment = "2026-12-20T18:00:00+01:00".parse().unwrap();
    assert_eq!(moment.start(&"Asia/Tokyo".parse().unwrap()), at("2026-12-20T17:00:00Z"));
}

#[test]
fn what_crontab_refuses_is_refused() {
    for text in [
        "",
        "* * * *",
        "0 * * * * *",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * 1#2",
        "* * L * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "1,,2 * * * *",
        "* * * * mo",
        "0 0 31 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 1 1 * 2020",
    ] {
        assert!(text.parse::<Cron>().is_err(), "{text}");
    }
}

#[test]
fn durations_read_back_and_nonsense_is_refused() {
    for text in ["8h", "10m", "1h30m", "2d12h", "90s", "366d"] {
        let duration: Duration = text.parse().unwrap();
        assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration, "{text}");
    }
    for text in [
        "",
        "0s",
        "8",
        "h",
        "8 h",
        "1m1h",
        "1h1h",
        "-1h",
        "1.5h",
        "P1M",
        "P",
        "PT",
        "P1W",
        "PT1",
        "p1d",
        "367d",
        "99999999999999999999s",
    ] {
        assert!(text.parse::<Duration>().is_err(), "{text}");
    }
    for (iso, ours) in [("PT10M", "10m"), ("P1D", "1d"), ("P1DT2H30M", "1d2h30m")] {
        assert_eq!(iso.parse::<Duration>(), ours.parse(), "{iso}");
    }
}

#[test]
fn the_clock_never_runs_backwards() {
    let berlin: Zone = "Europe/Berlin".parse().unwrap();
    let mut civil = date(2026, 3, 28).at(0, 0, 0, 0);
    let mut last = berlin.instant(civil);
    while civil < date(2026, 3, 31).at(0, 0, 0, 0) {
        civil = civil.checked_add(7.minutes()).unwrap();
        assert!(berlin.instant(civil) >= last, "{civil}");
        last = berlin.instant(civil);
    }
}

/// The same from the definition, minute by minute: no crate, no shortcuts.
fn is_open_by_definition(fields: &[std::ops::RangeInclusive<i8>; 3], hours: i64, zone: &Zone, now: Timestamp) -> bool {
    let [minute, hour, weekday] = fields;
    (0..hours * 60).any(|ago| {
        let start = now - jiff::SignedDuration::from_mins(ago);
        let civil = zone.civil(start);
        let is_start = minute.contains(&civil.minute())
            && hour.contains(&civil.hour())
            && weekday.contains(&civil.weekday().to_monday_one_offset());
        is_start && zone.instant(civil) == start
    })
}

proptest::proptest! {
    #[test]
    fn it_agrees_with_the_definition(minute in 0i8..60, hour in 4i8..24, days in (1i8..=7, 1i8..=7), hours in 1i64..30, at in 0i64..525_600) {
        let (low, high) = (days.0.min(days.1), days.0.max(days.1));
        let zone: Zone = "America/New_York".parse().unwrap();
        let now = Timestamp::from_second(1_767_225_600 + at * 60).unwrap();
        let cron = format!("{minute} {hour} * * {low}-{high}");
        let window = schedule(&[(&cron, &format!("{hours}h"), "America/New_York")]);
        let expected = is_open_by_definition(&[minute..=minute, hour..=hour, low..=high], hours, &zone, now);
        proptest::prop_assert_eq!(window.window(now) == Window::Open, expected, "{} {}", cron, now);
    }
}
