use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Moment {
    let wall = Timestamp::new(1_800_000_000 + i64::try_from(seconds).unwrap(), 0).unwrap();
    Moment { steady: Duration::from_secs(seconds), wall }
}

fn lease(holder: &str, renewed: u64, version: u64) -> Lease {
    let (holder, renewed) = (holder.to_owned(), Some(at(renewed).wall));
    Lease { holder, lasts: LASTS, renewed, acquired: None, transitions: 0, version: version.to_string() }
}

#[test]
fn a_lease_that_is_not_renewed_is_taken_when_it_is_over_and_no_sooner() {
    let mut b = Candidate::new("b".to_owned());
    assert!(matches!(b.step(at(0)), Step::Write(made) if made.version.is_empty() && made.transitions == 1));
    for second in [0, 5, 10] {
        // The same lease again: its clock, which says something else, does not count.
        b.observe(Some(lease("a", 700, 1)), at(second).steady);
        assert_eq!(b.step(at(second)), Step::Wait);
    }
    assert_eq!(b.step(at(14)), Step::Wait);
    assert_eq!(b.step(at(15)), Step::Write(Lease { acquired: Some(at(15).wall), transitions: 1, ..lease("b", 15, 1) }));
    b.observe(Some(lease("a", 702, 2)), at(15).steady);
    assert_eq!(b.step(at(29)), Step::Wait, "it was renewed");
    b.observe(Some(lease("", 702, 3)), at(16).steady);
    assert!(matches!(b.step(at(16)), Step::Write(_)), "it was given back");
}

#[test]
fn who_leads_writes_until_it_could_not_renew_for_a_while() {
    let mut a = Candidate::new("a".to_owned());
    assert!(!may_write(a.renewed(), at(0)));
    a.wrote(lease("a", 0, 1), at(0));
    assert!(may_write(a.renewed(), at(9)) && !may_write(a.renewed(), at(10)));
    assert!(!a.must_look());
    assert_eq!(a.step(at(9)), Step::Write(lease("a", 9, 1)), "since when and how often stay");
    a.lost_sight();
    assert!(a.must_look() && may_write(a.renewed(), at(9)), "an answer that was lost is no Lease that was lost");
    a.observe(Some(lease("b", 3, 2)), at(3).steady);
    assert!(!may_write(a.renewed(), at(3)), "somebody else has it");
    assert_eq!(a.holder(), Some("b"));
}

#[test]
fn who_resigns_writes_no_more_and_gives_back_only_what_is_its_own() {
    let mut a = Candidate::new("a".to_owned());
    assert_eq!(a.resign(at(0).wall), None);
    a.wrote(lease("a", 0, 1), at(0));
    assert_eq!(a.resign(at(2).wall), Some(lease("", 2, 1)));
    assert!(!may_write(a.renewed(), at(2)));
    assert_eq!(a.resign(at(2).wall), None, "once");
}

#[test]
fn a_machine_that_slept_and_a_clock_that_was_set_do_not_write() {
    let mut a = Candidate::new("a".to_owned());
    a.wrote(lease("a", 0, 1), at(0));
    assert!(!may_write(a.renewed(), Moment { steady: at(1).steady, wall: at(60).wall }), "it slept for a minute");
    assert!(may_write(a.renewed(), Moment { steady: at(9).steady, wall: at(0).wall }), "set back");
    assert!(!may_write(a.renewed(), Moment { steady: at(10).steady, wall: at(0).wall }), "and over all the same");
}

/// The Lease as the API server keeps it: a write over a version that is gone is refused.
#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
}

impl Server {
    fn write(&mut self, lease: &Lease) -> Option<Lease> {
        let there = self.lease.as_ref().map_or("", |lease| lease.version.as_str());
        if there != lease.version {
            return None;
        }
        self.version += 1;
        self.lease = Some(Lease { version: self.version.to_string(), ..lease.clone() });
        self.lease.clone()
    }
}

/// What a candidate has sent and not heard of.
struct Sent {
    lease: Lease,
    at: Moment,
    way: Way,
}

enum Way {
    Out,
    /// It has arrived: the Lease as it was written, if it was.
    Back(Option<Lease>),
}

proptest! {
    /// Whatever is slow, stopped or lost: at no moment may two write.
    #[test]
    fn never_two_may_write(steps in prop::collection::vec((0_usize..3, 0_u8..14, 0_u64..7), 1..400)) {
        let mut server = Server::default();
        let mut all = ["a", "b", "c"].map(|name| Candidate::new(name.to_owned()));
        let mut sent: [Option<Sent>; 3] = [None, None, None];
        let mut now = 0;
        for (who, what, pause) in steps {
            now += pause;
            let moment = at(now);
            match (what, &mut sent[who]) {
                // A round without trouble.
                (7.., None) => {
                    all[who].observe(server.lease.clone(), moment.steady);
                    if let Step::Write(lease) = all[who].step(moment)
                        && let Some(written) = server.write(&lease)
                    {
                        all[who].wrote(written, moment);
                    }
                }
                // It looks, and sends what it decides.
                (0 | 1, place @ None) => {
                    if all[who].must_look() {
                        all[who].observe(server.lease.clone(), moment.steady);
                    }
                    if let Step::Write(lease) = all[who].step(moment) {
                        *place = Some(Sent { lease, at: moment, way: Way::Out });
                    }
                }
                // It arrives, however late.
                (2 | 3, Some(request @ Sent { way: Way::Out, .. })) => {
                    request.way = Way::Back(server.write(&request.lease));
                }
                // The answer comes.
                (4 | 5, place @ Some(Sent { way: Way::Back(_), .. })) => {
                    let Some(Sent { at, way: Way::Back(answer), .. }) = place.take() else { unreachable!() };
                    match answer {
                        Some(lease) => all[who].wrote(lease, at),
                        None => all[who].lost_sight(),
                    }
                }
                // The answer is lost; the request may be as well.
                (6, place @ Some(_)) => {
                    *place = None;
                    all[who].lost_sight();
                }
                _ => {}
            }
            let writers = all.iter().filter(|candidate| may_write(candidate.renewed(), moment)).count();
            prop_assert!(writers <= 1, "{writers} may write after {now}s");
        }
    }
}
