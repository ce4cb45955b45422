//! What is established in, a number out. Never a constant: each ground says what it is worth and why.

use crate::case::Ground;

/// The API status itself names the thing that is wrong.
pub const STATUS_NAMES_IT: i8 = 60;
/// A log line of the failing run names it.
pub const LOG_NAMES_IT: i8 = 45;
/// Exactly one value exists that fits.
pub const ONE_CANDIDATE: i8 = 60;
/// The last healthy revision had this value, and runs now.
pub const RUNS_NOW: i8 = 70;
/// The last healthy revision had this value.
pub const RAN_BEFORE: i8 = 50;
/// The failure began with the rollout that changed this field, and nothing else was changed.
pub const ONLY_DIFFERENCE: i8 = 60;
/// It happened again and again, not once.
pub const REPEATED: i8 = 40;
/// Something else that was looked at agrees.
pub const AGREES: i8 = 30;

/// Something that is established.
pub fn ground(weight: i8, text: impl Into<String>) -> Ground {
    Ground { text: text.into(), weight }
}

/// Something that stands against it; the weight is what it costs, in percent.
pub fn doubt(percent: i8, text: impl Into<String>) -> Ground {
    Ground { text: text.into(), weight: -percent }
}

/// 0-99. Grounds count as independent evidence: each leaves only its rest of the doubt. What stands against the
/// diagnosis scales the result down. Nothing is ever certain, so 100 is never reached.
pub fn confidence(grounds: &[Ground]) -> u8 {
    let mut doubt = 1.0_f64;
    let mut scale = 1.0_f64;
    for ground in grounds {
        let weight = f64::from(ground.weight).clamp(-100.0, 100.0) / 100.0;
        if weight >= 0.0 {
            doubt *= 1.0 - weight;
        } else {
            scale *= 1.0 + weight;
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100 by construction")]
    let percent = ((1.0 - doubt) * scale * 100.0).round() as u8;
    percent.min(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ground_alone_is_never_enough_for_a_pull_request() {
        for weight in
            [STATUS_NAMES_IT, LOG_NAMES_IT, ONE_CANDIDATE, RUNS_NOW, RAN_BEFORE, ONLY_DIFFERENCE, REPEATED, AGREES]
        {
            assert!(confidence(&[ground(weight, "x")]) < 80);
        }
    }

    #[test]
    fn a_doubt_takes_away_and_nothing_is_certain() {
        let sure = [ground(60, "a"), ground(60, "b")];
        assert_eq!(confidence(&sure), 84);
        assert_eq!(confidence(&[sure[0].clone(), sure[1].clone(), doubt(25, "c")]), 63);
        assert_eq!(confidence(&[ground(100, "a")]), 99);
        assert_eq!(confidence(&[]), 0);
    }
}
