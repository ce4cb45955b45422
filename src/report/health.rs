//! What is known of the process in; whether it lives, and whether it is ready, out: line by line, with the next step.
//!
//! Everything is an age, so nothing here reads a clock.

use std::fmt::Write as _;

use jiff::SignedDuration;

use super::plain;

/// A loop that has not turned for this long hangs: it turns every fifteen seconds, and a turn takes less than one.
const HANGS: SignedDuration = SignedDuration::from_secs(90);
/// A watch that is silent for longer is dead: the API server sends a bookmark about every minute, and ends each watch
/// within five.
const SILENT: SignedDuration = SignedDuration::from_secs(330);
/// A base branch that was not read for this long may be another one by now.
const OLD: SignedDuration = SignedDuration::from_mins(5);
/// Of several that are alike so many are named.
const NAMED: usize = 3;
/// The longest text of a line.
const WIDEST: usize = 400;

/// What is known of the process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Since it began.
    pub up: SignedDuration,
    /// Since the loop turned last; `None` before the first time.
    pub turned: Option<SignedDuration>,
    pub watches: Vec<Watch>,
    /// Why the cluster is not seen as a whole, if it is not: one reason for each kind.
    pub missing: Vec<String>,
    pub repository: Repository,
    pub policy: Policy,
    pub lead: Lead,
    /// How long the oldest incident waits for its turn.
    pub queued: Option<SignedDuration>,
}

/// How the watch of one kind is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// `Pod`.
    pub kind: &'static str,
    /// Since the API server last said something about it.
    pub silent: Option<SignedDuration>,
    pub restarts: u64,
    pub objects: usize,
    /// Whether the account may not read it.
    pub is_refused: bool,
}

/// How the base branch is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// The commit that is worked with.
    pub commit: Option<String>,
    /// Since it was last asked for, and answered.
    pub answered: Option<SignedDuration>,
    /// Why the last attempt came to nothing, if it did.
    pub error: Option<String>,
}

/// How the policy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Since the one in force was read.
    pub read: Option<SignedDuration>,
    /// Why the base branch has another one that is not in force, if it has.
    pub invalid: Option<String>,
}

/// Whether this process may open pull requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// There is no election: it is the only one.
    #[default]
    Alone,
    Leads,
    /// Another one does; its name, where it is known.
    Follows(Option<String>),
    /// It cannot be known: why.
    Barred(String),
}

impl Lead {
    /// Whether it may write.
    pub fn leads(&self) -> bool {
        matches!(self, Self::Alone | Self::Leads)
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub about: &'static str,
    pub text: String,
    /// What to do, where it is not as it should be.
    pub next: Option<String>,
}

impl Check {
    fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, text: text.into(), next: None }
    }

    fn fail(about: &'static str, text: impl Into<String>, next: impl Into<String>) -> Self {
        Self { about, text: text.into(), next: Some(next.into()) }
    }

    /// An error whose text may end in its hint.
    fn error(about: &'static str, text: &str, otherwise: &str) -> Self {
        match text.split_once("\nHint: ") {
            Some((text, hint)) => Self::fail(about, text, hint),
            None => Self::fail(about, text, otherwise),
        }
    }

    pub fn is_ok(&self) -> bool {
        self.next.is_none()
    }
}

/// Whether the process lives. If it does not, only a new one helps.
pub fn alive(vitals: &Vitals) -> Vec<Check> {
    let since = vitals.turned.unwrap_or(vitals.up);
    let check = if since > HANGS {
        let text = format!("has not turned for {}; it should every 15s", words(since));
        Check::fail("loop", text, "end the process: what it was about to do is found again in the forge")
    } else if vitals.turned.is_some() {
        Check::ok("loop", format!("turned {} ago", words(since)))
    } else {
        Check::ok("loop", "is about to begin")
    };
    vec![check]
}

/// Whether what it does can be relied on now.
pub fn ready(vitals: &Vitals) -> Vec<Check> {
    let mut checks = alive(vitals);
    checks.extend([cluster(vitals), watches(vitals), repository(&vitals.repository), policy(&vitals.policy)]);
    let next = "is the API server there, and may this account use the Lease? deploy/rbac.yaml has the Role";
    checks.push(match &vitals.lead {
        Lead::Alone => Check::ok("leader", "there is no election"),
        Lead::Leads => Check::ok("leader", "this one leads"),
        Lead::Follows(Some(other)) => {
            Check::ok("leader", format!("{other} leads; this one takes over when it goes away"))
        }
        Lead::Barred(why) => Check::error("leader", why, next),
        Lead::Follows(None) => Check::ok("leader", "nobody leads yet; this one tries to"),
    });
    checks
}

fn cluster(vitals: &Vitals) -> Check {
    let next = "`kubecure doctor` asks the API server the same, and says what is wrong";
    if vitals.missing.is_empty() {
        return Check::ok("cluster", format!("{} kinds are watched", vitals.watches.len()));
    }
    Check::fail("cluster", format!("is not seen as a whole: {}", some(&vitals.missing)), next)
}

fn watches(vitals: &Vitals) -> Check {
    let is_stale = |watch: &&Watch| watch.silent.is_some_and(|silent| silent > SILENT);
    let stale: Vec<String> = vitals
        .watches
        .iter()
        .filter(is_stale)
        .filter_map(|watch| Some(format!("{} for {}", watch.kind, words(watch.silent?))))
        .collect();
    if !stale.is_empty() {
        let next = "is the API server behind a proxy that holds connections? Restarting this process lists anew";
        return Check::fail("watches", format!("nothing was heard of {}", some(&stale)), next);
    }
    match vitals.watches.iter().filter_map(|watch| watch.silent).max() {
        Some(longest) => Check::ok("watches", format!("each was heard of within {}", words(longest))),
        None => Check::ok("watches", "none was heard of yet"),
    }
}

fn repository(repository: &Repository) -> Check {
    let next = "is it there, and may this process read it? `kubecure doctor` looks at it as well";
    let commit = repository.commit.as_deref().map_or("", |commit| &commit[..commit.len().min(10)]);
    match (repository.answered, &repository.error) {
        (None, Some(error)) => Check::error("repository", error, next),
        (None, None) => Check::fail("repository", "was not read yet", "wait for the first read"),
        (Some(age), error) if age > OLD => {
            let why = error.as_deref().unwrap_or("it was not asked");
            Check::error("repository", &format!("was last read {} ago: {why}", words(age)), next)
        }
        // For a while the last commit serves as well.
        (Some(age), Some(error)) => {
            let first = error.lines().next().unwrap_or_default();
            Check::ok("repository", format!("{commit} of {} ago serves, while: {first}", words(age)))
        }
        (Some(age), None) => Check::ok("repository", format!("{commit} was the tip {} ago", words(age))),
    }
}

fn policy(policy: &Policy) -> Check {
    let age = policy.read.map(words);
    match (&policy.invalid, age) {
        (Some(why), Some(age)) => {
            let text = format!("that of the base branch is invalid, and the one of {age} ago stays in force: {why}");
            Check::error("policy", &text, "kubecure policy check shows each mistake with its line")
        }
        (Some(why), None) => Check::error("policy", why, "kubecure policy check shows each mistake with its line"),
        (None, Some(age)) => Check::ok("policy", format!("is in force for {age}")),
        (None, None) => Check::fail("policy", "was not read yet", "wait for the first read of the repository"),
    }
}

/// The first of several, and how many more there are.
fn some(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} (and {more} more)"),
    }
}

/// `4s`, `2m30s`, `3h`.
fn words(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h{m}m"),
    }
}

/// A page of checks, and whether all is well.
pub fn page(checks: &[Check]) -> (bool, String) {
    let mut page = String::new();
    for check in checks {
        let word = if check.is_ok() { "ok" } else { "FAIL" };
        let _ = writeln!(page, "{word:<4}  {:<10}  {}", check.about, plain::cut(&plain::inline(&check.text), WIDEST));
        if let Some(next) = &check.next {
            let _ = writeln!(page, "{:18}next: {}", "", plain::cut(&plain::inline(next), WIDEST));
        }
    }
    (checks.iter().all(Check::is_ok), page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn well() -> Vitals {
        Vitals {
            up: secs(4000),
            turned: Some(secs(2)),
            watches: vec![
                Watch { kind: "Pod", silent: Some(secs(5)), restarts: 1, objects: 12, is_refused: false },
                Watch { kind: "Node", silent: Some(secs(50)), restarts: 0, objects: 1, is_refused: false },
            ],
            missing: Vec::new(),
            repository: Repository {
                commit: Some("0123456789abcdef".to_owned()),
                answered: Some(secs(1)),
                error: None,
            },
            policy: Policy { read: Some(secs(3900)), invalid: None },
            lead: Lead::Leads,
            queued: None,
        }
    }

    #[test]
    fn what_is_well_is_a_page_of_ok() {
        let (is_ok, text) = page(&ready(&well()));
        assert!(is_ok);
        assert_eq!(
            text,
            "ok    loop        turned 2s ago\n\
             ok    cluster     2 kinds are watched\n\
             ok    watches     each was heard of within 50s\n\
             ok    repository  0123456789 was the tip 1s ago\n\
             ok    policy      is in force for 1h5m\n\
             ok    leader      this one leads\n"
        );
    }

    /// The only line that fails, and its next step.
    fn fault(change: impl FnOnce(&mut Vitals)) -> (String, String) {
        let mut vitals = well();
        change(&mut vitals);
        let checks = ready(&vitals);
        let mut bad = checks.iter().filter(|check| !check.is_ok());
        let first = bad.next().expect("something is wrong");
        assert_eq!(bad.next(), None);
        assert!(!page(&checks).0);
        (format!("{}: {}", first.about, first.text), first.next.clone().unwrap())
    }

    #[test]
    fn each_fault_is_one_line_with_the_next_step() {
        let (text, next) = fault(|v| v.missing = ["pods: refused", "b", "c", "d"].map(str::to_owned).to_vec());
        assert_eq!(text, "cluster: is not seen as a whole: pods: refused; b; c (and 1 more)");
        assert!(next.contains("doctor"));
        let (text, _) = fault(|v| v.watches[1].silent = Some(secs(331)));
        assert_eq!(text, "watches: nothing was heard of Node for 5m31s");
        let (text, next) = fault(|v| {
            v.repository.answered = Some(secs(301));
            v.repository.error = Some("it does not answer\nHint: is it there?".to_owned());
        });
        assert_eq!(text, "repository: was last read 5m1s ago: it does not answer");
        assert_eq!(next, "is it there?");
        let (text, next) = fault(|v| v.policy.invalid = Some("a.yaml:3:1: unknown key `alow`".to_owned()));
        assert!(text.contains("the one of 1h5m ago stays in force: a.yaml:3:1"), "{text}");
        assert!(next.contains("kubecure policy check"));
    }

    #[test]
    fn a_loop_that_hangs_is_dead_and_one_that_begins_is_not() {
        let dead = |up, turned| !page(&alive(&Vitals { up: secs(up), turned, ..well() })).0;
        assert!(!dead(10, None) && dead(91, None), "it never turned");
        assert!(!dead(4000, Some(secs(90))) && dead(4000, Some(secs(91))));
    }

    #[test]
    fn a_repository_that_is_away_for_a_moment_keeps_it_ready() {
        let mut vitals = well();
        vitals.repository.answered = Some(secs(60));
        vitals.repository.error = Some("does not answer\nHint: wait".to_owned());
        let (is_ok, text) = page(&ready(&vitals));
        assert!(is_ok && text.contains("0123456789 of 1m ago serves, while: does not answer\n"), "{text}");
    }

    #[test]
    fn a_page_is_bounded_and_moves_no_cursor() {
        let mut vitals = well();
        vitals.missing = vec!["\x1b[2J\n".repeat(5000)];
        let (_, text) = page(&ready(&vitals));
        assert!(text.len() < 3000 && !text.contains('\x1b') && text.lines().count() == 7, "{}", text.len());
    }

    #[test]
    fn one_that_may_not_stand_for_election_says_so() {
        let (text, next) = fault(|v| v.lead = Lead::Barred("the Lease a/b may not be used\nHint: grant it".to_owned()));
        assert_eq!((text.as_str(), next.as_str()), ("leader: the Lease a/b may not be used", "grant it"));
    }

    #[test]
    fn one_that_follows_is_ready() {
        let vitals = Vitals { lead: Lead::Follows(Some("node-2".to_owned())), ..well() };
        let (is_ok, text) = page(&ready(&vitals));
        assert!(is_ok && text.contains("node-2 leads"), "{text}");
        assert!(!vitals.lead.leads() && Lead::Alone.leads());
    }
}
