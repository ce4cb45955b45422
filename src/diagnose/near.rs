//! A name that does not exist and the names that do in, the one that was evidently meant out.

/// What a wrong name could have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    /// Exactly one candidate differs by a small edit.
    One(String),
    /// Two or more do: nobody can tell which was meant.
    Several(Vec<String>),
    None,
}

/// The candidate that differs from `wanted` by case, separators, or one or two characters.
///
/// A difference of case or separators alone (`database_url`, `database-url`) beats an edit of letters. Short names
/// are no evidence: `api` and `app` differ by one letter and mean different things.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Near {
    let mut ranked: Vec<(usize, &str)> = Vec::new();
    for candidate in candidates {
        if let Some(distance) = distance(wanted, candidate)
            && !ranked.iter().any(|(_, known)| *known == candidate)
        {
            ranked.push((distance, candidate));
        }
    }
    ranked.sort_unstable();
    match ranked.as_slice() {
        [] => Near::None,
        [(_, only)] => Near::One((*only).to_owned()),
        // Spelling alone against letters: the first is meant.
        [(0, first), (second, _), ..] if *second > 0 => Near::One((*first).to_owned()),
        several => Near::Several(several.iter().map(|(_, name)| (*name).to_owned()).collect()),
    }
}

/// Names as a reader would list them: `a`, `b` and 3 more; "none" when there are none.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// 0 for the same letters spelled otherwise, else the number of edits, `None` when too many.
fn distance(wanted: &str, candidate: &str) -> Option<usize> {
    if wanted == candidate {
        return None;
    }
    let (a, b) = (letters(wanted), letters(candidate));
    if a == b {
        return Some(0);
    }
    let length = a.chars().count().min(b.chars().count());
    let allowed = match length {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    };
    // Digits carry meaning (v1, v2; eu1, eu2): a name that differs in them is another name.
    if digits(&a) != digits(&b) {
        return None;
    }
    Some(strsim::damerau_levenshtein(&a, &b)).filter(|d| *d <= allowed)
}

/// Lower case, without separators.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn digits(name: &str) -> String {
    name.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit_away_is_meant() {
        assert_eq!(nearest("recomendations", ["recommendations", "web"]), Near::One("recommendations".into()));
        assert_eq!(nearest("hpa-targets", ["hpa-target", "web"]), Near::One("hpa-target".into()));
        assert_eq!(nearest("DATABASE_URL", ["DATABASE_URI"]), Near::One("DATABASE_URI".into()));
        assert_eq!(nearest("service-selektor", ["service-selector"]), Near::One("service-selector".into()));
    }

    #[test]
    fn another_spelling_beats_another_letter() {
        let keys = ["database-url", "database-uri"];
        assert_eq!(nearest("database_url", keys), Near::One("database-url".into()));
    }

    #[test]
    fn two_candidates_are_no_answer() {
        assert_eq!(
            nearest("backend", ["backends", "backend2s", "backendd"]),
            Near::Several(vec!["backendd".into(), "backends".into()])
        );
    }

    #[test]
    fn short_names_and_numbers_are_no_typos() {
        assert_eq!(nearest("api", ["app"]), Near::None);
        assert_eq!(nearest("cache-1", ["cache-2"]), Near::None);
        assert_eq!(nearest("eu-west-1", ["eu-west-2"]), Near::None);
    }
}
