use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::case::Finding;
use crate::review::policy::Policies;

/// As the built-in default has it.
fn settle(incident: &Incident) -> SignedDuration {
    Policies::built_in().decide(&incident.first().workload, &BTreeMap::new()).policy.settle.of(incident)
}

impl Agenda {
    /// A turn as the one that leads takes it.
    fn look(&mut self, seen: Vec<Sighting>, now: Timestamp) -> Vec<Picked> {
        self.turn(seen, now, Pace { settle: &settle, most: AT_ONCE })
    }
}

fn incident(failure: &'static str, namespace: &str, name: &str) -> Incident {
    let finding = Finding {
        failure: FailureId(failure),
        workload: ObjectRef::new("apps/v1", "Deployment", Some(namespace), name),
        container: Some("app".to_owned()),
        symptom: "keeps running out of memory (killed 6 times)".to_owned(),
        since: None,
        pods: Vec::new(),
        shared: None,
    };
    Incident { failure: finding.failure, findings: vec![finding], shared: None }
}

fn sighting(namespace: &str, name: &str, mark: u64) -> Sighting {
    Sighting { incident: incident("oom-killed", namespace, name), mark }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::new(1_800_000_000 + seconds, 0).unwrap()
}

fn names(picked: &[Picked]) -> Vec<String> {
    picked.iter().map(|s| s.incident.first().workload.path()).collect()
}

#[test]
fn a_failure_is_worked_when_it_has_settled_and_once() {
    let mut agenda = Agenda::default();
    let seen = || vec![sighting("shop", "web", 1)];
    assert!(agenda.look(seen(), at(0)).is_empty());
    assert_eq!((agenda.due(), agenda.standing().settling), (Some(at(30)), 1));
    for second in [10, 20, 29] {
        assert!(agenda.look(seen(), at(second)).is_empty());
    }
    assert!(!agenda.is_through(at(0)));
    let picked = agenda.look(seen(), at(30));
    assert_eq!(names(&picked), ["shop/web"]);
    assert!(agenda.look(seen(), at(31)).is_empty(), "it is being worked");
    agenda.done(&picked[0].incident, Outcome::Settled, at(32));
    assert!(agenda.is_through(at(0)));
    assert!(agenda.look(seen(), at(3600)).is_empty(), "nothing changed");
    assert_eq!(agenda.look(vec![sighting("shop", "web", 2)], at(3601)).len(), 1, "it changed, and still stands");
}

#[test]
fn looks_that_are_far_apart_do_not_begin_again() {
    let mut agenda = Agenda::default();
    let picked = [0, 15, 30].map(|second| agenda.look(vec![sighting("shop", "web", 1)], at(second)).len());
    assert_eq!(picked, [0, 0, 1]);
}

#[test]
fn a_change_is_worked_and_a_change_back_is_not() {
    let mut agenda = Agenda::default();
    let mut worked = Vec::new();
    for second in 0..200 {
        let mark = if second < 60 { 1 } else { 1 + u64::from(second % 2 == 0) };
        for picked in agenda.look(vec![sighting("shop", "web", mark)], at(second)) {
            worked.push((second, picked.mark));
            agenda.done(&picked.incident, Outcome::Settled, at(second));
        }
    }
    assert_eq!(worked, [(30, 1), (60, 2)]);
}

#[test]
fn what_is_gone_before_it_settled_is_never_worked() {
    let mut agenda = Agenda::default();
    for second in 0..25 {
        assert!(agenda.look(vec![sighting("shop", "web", 1)], at(second)).is_empty());
    }
    for second in 25..60 {
        assert!(agenda.look(Vec::new(), at(second)).is_empty());
    }
    assert!(agenda.entries.is_empty(), "and is forgotten");
    for second in 60..90 {
        assert!(agenda.look(vec![sighting("shop", "web", 1)], at(second)).is_empty(), "it begins again");
    }
    assert_eq!(agenda.look(vec![sighting("shop", "web", 1)], at(90)).len(), 1);
}

#[test]
fn a_container_that_runs_for_a_moment_is_still_failing() {
    let mut agenda = Agenda::default();
    let mut worked = Vec::new();
    for second in 0..40 {
        let seen = if (10..15).contains(&second) { Vec::new() } else { vec![sighting("shop", "web", 1)] };
        worked.extend(agenda.look(seen, at(second)).iter().map(|_| second));
    }
    assert_eq!(worked, [30]);
}

#[test]
fn what_has_stood_for_long_is_not_waited_for_after_a_restart() {
    let mut old = sighting("shop", "web", 1);
    old.incident.findings[0].since = Some(at(-600));
    assert_eq!(Agenda::default().look(vec![old], at(0)).len(), 1);
    let mut node = sighting("shop", "web", 1);
    node.incident.shared = Some(Shared::Node("a".to_owned()));
    node.incident.findings[0].since = Some(at(-100));
    assert!(Agenda::default().look(vec![node], at(0)).is_empty(), "a node is given more time");
}

#[test]
fn each_namespace_has_its_turn() {
    let mut agenda = Agenda::scaled(0.0);
    let mut seen: Vec<Sighting> = (0..50).map(|n| sighting("big", &format!("w{n:02}"), 1)).collect();
    seen.extend([sighting("small", "a", 1), sighting("tiny", "b", 1)]);
    let picked = agenda.look(seen.clone(), at(0));
    assert_eq!(names(&picked), ["big/w00", "small/a", "tiny/b", "big/w01"]);
    assert_eq!((agenda.standing().working, agenda.standing().queued), (4, 48));
    agenda.done(&picked[1].incident, Outcome::Settled, at(1));
    seen.push(sighting("small", "c", 1));
    assert_eq!(names(&agenda.look(seen, at(1))), ["small/c"], "big was served last");
}

#[test]
fn the_oldest_of_the_queue_is_known_and_one_that_follows_works_nothing() {
    let mut agenda = Agenda::default();
    let seen: Vec<Sighting> = (0..6).map(|n| sighting("shop", &format!("w{n}"), 1)).collect();
    for second in [0, 20, 40, 60] {
        assert!(agenda.turn(seen.clone(), at(second), Pace { settle: &settle, most: 0 }).is_empty());
    }
    assert_eq!((agenda.standing().queued, agenda.standing().oldest), (6, Some(at(30))));
    assert_eq!(agenda.look(seen.clone(), at(61)).len(), AT_ONCE, "it takes over where the other was");
    assert_eq!((agenda.standing().queued, agenda.standing().oldest), (2, Some(at(30))));
}

#[test]
fn what_failed_waits_longer_each_time_and_never_for_ever() {
    let mut agenda = Agenda::default();
    let (mut now, mut waits, mut last) = (30, Vec::new(), None);
    agenda.look(vec![sighting("shop", "web", 1)], at(0));
    while waits.len() < 12 {
        for picked in agenda.look(vec![sighting("shop", "web", 1)], at(now)) {
            waits.extend(last.map(|last| now - last));
            last = Some(now);
            agenda.done(&picked.incident, Outcome::Failed, at(now));
        }
        now += 1;
    }
    assert!((8..=13).contains(&waits[0]) && waits[1] > waits[0], "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 751) && waits[11] >= 450, "{waits:?}");
    assert!(agenda.is_through(at(now)), "one that was tried in vain does not keep a single pass");
    let keys = ["a", "b", "c"].map(|name| Key::of(&incident("oom-killed", "shop", name)));
    assert!(keys.iter().any(|key| wait(key, 1) != wait(&keys[0], 1)), "not all at once");
    assert_eq!(wait(&keys[0], 3), wait(&keys[0], 3));
}

#[test]
fn it_is_early_until_it_has_stood_thrice_its_time() {
    let mut agenda = Agenda::default();
    let seen = || vec![sighting("shop", "web", 1)];
    agenda.look(seen(), at(0));
    let mut early = Vec::new();
    for second in 30..=120 {
        for picked in agenda.look(seen(), at(second)) {
            early.push(picked.is_early);
            agenda.done(&picked.incident, Outcome::Early, at(second));
        }
    }
    assert_eq!(early.last(), Some(&false), "{early:?}");
    assert!((2..6).contains(&early.len()) && early[0], "{early:?}");
}

#[test]
fn one_that_got_an_issue_for_want_of_evidence_is_looked_at_again_and_gets_no_second() {
    let mut agenda = Agenda::default();
    let seen = |mark| vec![sighting("shop", "web", mark)];
    agenda.look(seen(1), at(0));
    let mut looks = Vec::new();
    for second in 100..=400 {
        for picked in agenda.look(seen(1), at(second)) {
            looks.push(picked.is_early);
            agenda.done(&picked.incident, Outcome::Unsure, at(second));
        }
    }
    assert!(!looks[0] && looks.len() > 3 && looks[1..].iter().all(|early| *early), "{looks:?}");
    let changed = (400..=1200).find_map(|second| agenda.look(seen(2), at(second)).pop()).unwrap();
    assert!(!changed.is_early, "what is new about it belongs into the issue");
    agenda.done(&changed.incident, Outcome::Settled, at(1200));
    assert!(agenda.look(seen(2), at(3000)).is_empty(), "a pull request is the end of it");
}

#[test]
fn each_of_the_first_counts_is_news_and_after_that_a_doubled_one() {
    let of = |times: u64| {
        let mut again = incident("oom-killed", "shop", "web");
        again.findings[0].symptom = format!("keeps running out of memory: killed {times} times in 2 of {times} pods");
        mark(&again, &BTreeSet::new(), "c1")
    };
    let marks: BTreeSet<u64> = (1..=1000).map(of).collect();
    assert_eq!((marks.len(), of(2) == of(3), of(17) == of(31)), (12, false, true));
}

#[test]
fn a_count_that_goes_up_is_no_change_and_an_edit_is() {
    let mut again = incident("oom-killed", "shop", "web");
    again.findings[0].symptom = "keeps running out of memory (killed 7 times) in 2 of 3 pods".to_owned();
    let generation = |n| BTreeSet::from([(ObjectRef::default(), Some(n))]);
    let first = mark(&incident("oom-killed", "shop", "web"), &generation(1), "c1");
    assert_eq!(first, mark(&again, &generation(1), "c1"));
    assert_ne!(first, mark(&again, &generation(2), "c1"));
    assert_ne!(first, mark(&again, &generation(1), "c2"));
}

proptest! {
    /// Whatever comes and goes: nothing that is unchanged is worked to an end twice, nothing twice at once, nothing
    /// before it stood for its time, and never too much at once.
    #[test]
    fn nothing_is_worked_twice(steps in prop::collection::vec((0_u8..12, 0_u8..8, 0_u64..3, 1_i64..9, 0_u8..3), 1..400)) {
        let mut agenda = Agenda::default();
        let (mut now, mut present) = (0, BTreeMap::new());
        let (mut settled, mut running) = (BTreeSet::new(), Vec::<(Picked, u8)>::new());
        for (which, what, mark, pause, outcome) in steps {
            now += pause;
            let name = format!("w{which}");
            if what < 6 {
                present.insert(name, mark);
            } else {
                present.remove(&name);
            }
            let seen = present.iter().map(|(name, mark)| sighting(&name[..1], name, *mark)).collect();
            for picked in agenda.look(seen, at(now)) {
                let name = picked.incident.first().workload.name.clone();
                prop_assert!(present.contains_key(&name), "{name} is not failing");
                prop_assert!(!running.iter().any(|(r, _)| r.incident == picked.incident), "{name} twice at once");
                prop_assert!(!settled.contains(&(name, picked.mark)), "worked to an end before");
                running.push((picked, outcome));
            }
            prop_assert!(running.len() <= AT_ONCE);
            if what % 2 == 0 && !running.is_empty() {
                let (done, outcome) = running.remove(0);
                let outcome = [Outcome::Settled, Outcome::Early, Outcome::Failed][usize::from(outcome)];
                agenda.done(&done.incident, outcome, at(now));
                if outcome == Outcome::Settled && now < REMEMBERED.as_secs() {
                    settled.insert((done.incident.first().workload.name.clone(), done.mark));
                }
            }
            // What was gone for long may come back as new.
            if now >= REMEMBERED.as_secs() {
                break;
            }
        }
    }
}
