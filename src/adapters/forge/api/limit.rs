//! The headers of an answer in, how long the forge wants to be left alone out.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::case::Timestamp;

/// Without a time in the answer.
const USUAL: Duration = Duration::from_secs(60);
/// No forge stops us for longer by one answer.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long an answer that refuses wants us to wait; `None`: it refuses for another reason.
pub(super) fn asked_for(status: u16, headers: &HeaderMap, said: &str, now: Timestamp) -> Option<Duration> {
    let said = said.to_lowercase();
    let after = retry_after(headers, now);
    let limited = match status {
        429 => true,
        403 => after.is_some() || used_up(headers, now).is_some() || said.contains("rate limit"),
        503 => after.is_some(),
        _ => false,
    };
    limited.then(|| after.or_else(|| used_up(headers, now)).unwrap_or(USUAL).min(LONGEST))
}

/// How long until a quota that is used up is there again, as GitHub and GitLab tell it.
pub(super) fn used_up(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let left = number("x-ratelimit-remaining").or_else(|| number("ratelimit-remaining"))?;
    let reset = number("x-ratelimit-reset").or_else(|| number("ratelimit-reset"))?;
    let wait = reset.saturating_sub(server_now(headers, now)).saturating_add(1);
    (left <= 0).then(|| Duration::from_secs(u64::try_from(wait).unwrap_or(1).max(1)).min(LONGEST))
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let wait = until.saturating_sub(server_now(headers, now));
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// The forge's own clock, where it tells: a date of it is compared with that.
fn server_now(headers: &HeaderMap, now: Timestamp) -> i64 {
    let date = headers.get(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    date.map_or(now.as_second(), |date| date.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_wait_is_what_the_forge_says_by_its_own_clock() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let asked = |status, all: &[(&'static str, &'static str)], said| asked_for(status, &headers(all), said, now);
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(asked(429, &[("retry-after", "7")], ""), seconds(7));
        assert_eq!(asked(429, &[], ""), seconds(60));
        assert_eq!(asked(429, &[("retry-after", "999999")], ""), seconds(3600));
        let dated = [("retry-after", "Fri, 27 Nov 2026 10:00:09 GMT"), ("date", "Fri, 27 Nov 2026 10:00:00 GMT")];
        assert_eq!(asked(503, &dated, ""), seconds(9));
        assert_eq!(asked(503, &[], ""), None);
        assert_eq!(asked(403, &[], "no rights"), None);
        assert_eq!(asked(403, &[], "You have exceeded a secondary rate limit."), seconds(60));
        let used = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000029")];
        assert_eq!(asked(403, &used, ""), seconds(30));
        assert_eq!(
            used_up(&headers(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1800000004")]), now),
            seconds(5)
        );
        assert_eq!(
            used_up(&headers(&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1800000029")]), now),
            None
        );
    }
}
