//! A label selector, as kubectl writes it: `app=web,tier!=test,env in (a, b),!legacy`.

use std::fmt;

/// Terms that all have to hold. None selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    terms: Vec<Requirement>,
    /// As it was written.
    text: String,
}

/// One term.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl LabelSelector {
    /// Reads one. The error names the term that is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let terms = terms(text);
        let terms = terms.iter().map(|term| term.trim()).filter(|term| !term.is_empty());
        let read: Result<_, _> =
            terms.map(|term| requirement(term).ok_or_else(|| format!("`{term}` is no label selector"))).collect();
        Ok(Self { terms: read?, text: text.trim().to_owned() })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it selects an object whose labels these are.
    pub fn selects<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.terms.iter().all(|term| term.holds(label(&term.key)))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::In(all) => value.is_some_and(|value| all.iter().any(|one| one == value)),
            Operator::NotIn(all) => value.is_none_or(|value| all.iter().all(|one| one != value)),
        }
    }
}

/// What stands between the commas that are in no brackets.
fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut depth) = (vec![String::new()], 0);
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms
}

fn requirement(term: &str) -> Option<Requirement> {
    let of = |key: &str, operator| {
        let key = key.trim();
        let is_key = !key.is_empty() && !key.contains([' ', '(', ')', '=', '!', '<', '>']);
        is_key.then(|| Requirement { key: key.to_owned(), operator })
    };
    let set = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|one| one.trim().to_owned()).collect())
    };
    if let Some(key) = term.strip_prefix('!') {
        return of(key, Operator::Absent);
    }
    if let Some((key, value)) = term.split_once("!=") {
        return of(key, Operator::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return of(key, Operator::In(vec![value.trim().to_owned()]));
    }
    if let Some((key, values)) = term.split_once(" notin ") {
        return of(key, Operator::NotIn(set(values)?));
    }
    if let Some((key, values)) = term.split_once(" in ") {
        return of(key, Operator::In(set(values)?));
    }
    of(term, Operator::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_are_read_like_kubectl_reads_them() {
        let read = LabelSelector::read("a=b, c != d,e in (x, y),f notin (z),g,!h,i==j").unwrap().terms;
        let keys: Vec<&str> = read.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["a", "c", "e", "f", "g", "h", "i"]);
        assert_eq!(read[2].operator, Operator::In(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(read[5].operator, Operator::Absent);
        assert!(LabelSelector::read("a b").is_err());
        assert!(LabelSelector::read("a > 1").is_err(), "numbers are not compared");
    }

    #[test]
    fn all_terms_have_to_hold() {
        let selects = |text: &str| {
            let selector = LabelSelector::read(text).unwrap();
            selector.selects(|key| [("app", "web"), ("tier", "front")].iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
        };
        assert!(selects(""));
        assert!(selects("app=web,tier in (front,back),!legacy,env!=test"));
        assert!(!selects("app=web,tier=back"));
        assert!(!selects("env"));
        assert!(!selects("!app"));
    }
}
