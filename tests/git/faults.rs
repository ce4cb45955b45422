//! The network: what breaks, stalls, floods or leads elsewhere.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use kubecure::adapters::git::remote::{Limits, Trouble};
use kubecure::adapters::ground::Base;

use crate::bed::{Bed, NEVER, until};
use crate::server::{Fault, Server, git};

#[test]
fn a_pack_that_is_cut_off_or_broken_changes_nothing() {
    let bed = Bed::new();
    let mut mirror = bed.mirror();
    mirror.fetch().unwrap();
    let clone = bed.clone_folder().join("repo.git");
    let known = git(&clone, &["rev-parse", "HEAD"]);
    let commit = bed.commit(&[("new.yaml", &"# new\n".repeat(2000))]);
    for fault in [Fault::Truncate(60), Fault::Truncate(200), Fault::Corrupt] {
        bed.server.fault(fault.clone());
        let trouble = mirror.fetch().unwrap_err();
        assert!(matches!(trouble, Trouble::Damaged { .. }), "{fault:?}: {trouble:?}");
        assert_eq!(git(&clone, &["rev-parse", "HEAD"]), known, "{fault:?}");
        git(&clone, &["fsck", "--strict"]);
    }
    bed.server.fault(Fault::None);
    mirror.fetch().unwrap();
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]), commit);
    // The same for a first clone: nothing half is left.
    bed.server.fault(Fault::Truncate(200));
    let other = tempfile::tempdir().unwrap();
    let bed = Bed { clones: other, ..bed };
    assert!(bed.mirror().fetch().is_err());
    assert_eq!(crate::bed::files(bed.clones.path()).len(), 1, "the lock alone");
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for() {
    let limits = Limits { stall: Duration::from_millis(700), ..Limits::default() };
    let bed = Bed { limits, ..Bed::new() };
    bed.server.fault(Fault::Stall(100));
    let began = Instant::now();
    assert!(matches!(bed.mirror().fetch(), Err(Trouble::Stalled { .. })));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let limits = Limits { whole: Duration::from_millis(1500), ..Limits::default() };
    let bed = Bed { limits, ..bed };
    let began = Instant::now();
    assert!(matches!(bed.mirror().fetch(), Err(Trouble::TooSlow { .. })));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_silent_server_keeps_nobody_waiting_who_stands_on_known_ground() {
    let limits = Limits { stall: Duration::from_secs(50), ..Limits::default() };
    let bed = Bed { limits, ..Bed::new() };
    let base = bed.base(NEVER).unwrap();
    bed.commit(&[("new.yaml", "# new\n")]);
    bed.server.fault(Fault::Stall(100));
    let before = bed.server.asked().len();
    base.call();
    until("the server is asked", || bed.server.asked().len() > before + 1);
    let began = Instant::now();
    for _ in 0..1000 {
        assert!(base.ground().is_ok() && base.status().is_known());
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_flood_is_not_taken() {
    let limits = Limits { bytes: 3000, ..Limits::default() };
    let bed = Bed { limits, ..Bed::new() };
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:x}")
    };
    let text: String = (0..1000).map(|_| noise()).collect();
    bed.commit(&[("large.yaml", &format!("# {text}\n"))]);
    assert!(matches!(bed.mirror().fetch(), Err(Trouble::TooLarge { limit: 3000 })));
}

#[test]
fn a_redirect_is_followed_on_the_host_and_no_credential_goes_to_another() {
    let bed = Bed::new().with_token("right-token-1234567890");
    bed.server.fault(Fault::Redirect(format!("{}/moved", bed.server.url)));
    let mut mirror = bed.mirror();
    mirror.fetch().unwrap();
    assert!(bed.server.asked().iter().any(|line| line.starts_with("POST /moved/shop.git/git-upload-pack")));
    let other = Server::start();
    for elsewhere in [other.url.clone(), other.plain(), format!("https://me:pw@localhost:{}", port(&bed.server.url))] {
        bed.server.fault(Fault::Redirect(elsewhere));
        let trouble = mirror.fetch().unwrap_err();
        assert!(matches!(trouble, Trouble::Redirected { .. }), "{trouble:?}");
        assert!(!trouble.to_string().contains("pw@"), "{trouble}");
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
    bed.server.fault(Fault::Redirect(format!("{}/again/and/again", bed.server.url)));
    assert!(matches!(mirror.fetch(), Err(Trouble::NoGit { .. })));
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

#[test]
fn what_a_server_answers_is_told_as_what_it_means() {
    let bed = Bed::new();
    for (status, word) in
        [(401, "refused"), (403, "refused"), (404, "not-found"), (429, "busy"), (500, "busy"), (418, "no-git")]
    {
        bed.server.fault(Fault::Status(status, "because\nI say so".to_owned()));
        let trouble = bed.mirror().fetch().unwrap_err();
        assert_eq!(trouble.word(), word, "{status}: {trouble}");
        assert_eq!(trouble.is_mistake(), !matches!(word, "busy"), "{status}");
    }
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let bed = Bed::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trouble = bed.mirror_of(&format!("https://{closed}/shop.git")).fetch().unwrap_err();
    assert!(matches!(trouble, Trouble::Unreachable { .. }) && !trouble.is_mistake(), "{trouble:?}");
}
