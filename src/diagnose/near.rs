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
    Some(strsim::damerau_levenshtein(&a, &b)).filter(|d| *d <= allowed && !another_word(wanted, candidate))
}

/// Whether two names of as many words differ in a short one: `app-config` and `api-config` are two applications'.
///
/// Of a short word only a letter too many, too few, out of order or doubled is a slip. `uri` and `url` are one thing.
fn another_word(wanted: &str, candidate: &str) -> bool {
    let words = |name: &str| -> Vec<String> {
        let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (a, b) = (words(wanted), words(candidate));
    if a.len() != b.len() {
        return false;
    }
    a.iter().zip(&b).filter(|(a, b)| a != b).any(|(a, b)| {
        let short = a.chars().count().max(b.chars().count()) <= SHORT_WORD;
        let same = |x: &str, y: &str| matches!((x, y), ("uri", "url") | ("url", "uri"));
        short && !same(a, b) && a.chars().count() == b.chars().count() && made_of(a) != made_of(b)
    })
}

/// Words up to this length mean something else when one of their letters is another: `dev`, `prd`; `main`, `mail`.
const SHORT_WORD: usize = 4;

/// Its letters, each once: `sdd` and `ssd` are made of the same.
fn made_of(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters
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
    fn another_short_word_is_another_thing() {
        assert_eq!(nearest("app-config", ["api-config"]), Near::None);
        assert_eq!(nearest("web-api", ["web-app"]), Near::None);
        assert_eq!(nearest("mail-config", ["main-config"]), Near::None);
        assert_eq!(nearest("apps-config", ["app-config"]), Near::One("app-config".into()));
        assert_eq!(nearest("wbe-config", ["web-config"]), Near::One("web-config".into()));
        assert_eq!(nearest("QUEUE_URI", ["QUEUE_URL"]), Near::One("QUEUE_URL".into()));
    }

    #[test]
    fn short_names_and_numbers_are_no_typos() {
        assert_eq!(nearest("api", ["app"]), Near::None);
        assert_eq!(nearest("cache-1", ["cache-2"]), Near::None);
        assert_eq!(nearest("eu-west-1", ["eu-west-2"]), Near::None);
    }
}
