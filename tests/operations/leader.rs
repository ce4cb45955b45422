//! Two real processes on a real cluster: one works, and never two.

use std::path::Path;
use std::time::Duration;

use super::cluster::{
    Namespace, Running, apply, deployment, hold_forge, kubeconfig, kubectl, pull_requests, repository, until,
};

struct Two {
    leader: Running,
    follower: Running,
}

/// Starts two, and says which of them leads.
fn two(config: &Path, folder: &Path, namespace: &str) -> Two {
    let lease = format!("{namespace}/kubecure");
    let start = |name| Running::start(config, folder, name, namespace, &["--leader-elect", "--lease", &lease]);
    let leader = start("a");
    until("the first leads", || leader.leads());
    let follower = start("b");
    until("the second is ready", || follower.page("/readyz").starts_with("HTTP/1.1 200"));
    assert!(!follower.leads(), "{}", follower.page("/readyz"));
    assert!(follower.page("/metrics").contains("\nkubecure_leader 0\n"));
    assert!(leader.page("/metrics").contains("\nkubecure_leader 1\n"));
    Two { leader, follower }
}

/// What a process says that it wrote.
fn written(log: &str) -> usize {
    log.lines().filter(|line| line.contains(r#""note":"receipt""#) && line.contains(r#""message":"opened"#)).count()
}

#[test]
fn one_works_and_the_other_takes_over_when_it_is_killed() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("kill"));
    repository(&temp.path().join("repo"), &namespace.0, &["one", "two"]);
    let Two { mut leader, follower } = two(&config, temp.path(), &namespace.0);
    apply(&deployment(&namespace.0, "one"));
    until("a pull request", || pull_requests(temp.path()) == ["one"]);
    until("the follower sees it as well", || {
        follower.page("/metrics").contains(r#"kubecure_incidents{state="queued"} 1"#)
    });
    leader.child.kill().unwrap();
    until("the other takes over", || follower.leads());
    apply(&deployment(&namespace.0, "two"));
    until("it works", || pull_requests(temp.path()) == ["one", "two"]);
    until("nothing is left to do", || follower.page("/metrics").contains(r#"kubecure_incidents{state="done"} 2"#));
    assert_eq!(pull_requests(temp.path()), ["one", "two"], "what the first opened is not opened again");
    assert_eq!(written(&follower.log()), 1);
}

#[test]
fn a_leader_that_was_stopped_in_the_middle_of_its_work_writes_nothing_when_it_goes_on() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("stop"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    let Two { leader, follower } = two(&config, temp.path(), &namespace.0);
    // It comes as far as the forge's door, and no further.
    let door = hold_forge(temp.path());
    apply(&deployment(&namespace.0, "one"));
    until("it is about to publish", || leader.log().contains(r#""note":"request""#));
    leader.signal("STOP");
    until("the other takes over", || follower.leads());
    until("and is about to publish as well", || follower.log().contains(r#""note":"request""#));
    drop(door);
    until("it does", || written(&follower.log()) == 1);
    leader.signal("CONT");
    until("the first goes on, and is refused", || {
        leader.log().contains("nothing is written: this process does not lead")
    });
    until("it knows who leads", || leader.page("/readyz").contains(" leads; this one takes over"));
    assert_eq!((written(&leader.log()), pull_requests(temp.path()).len()), (0, 1));
}

#[test]
fn a_leader_that_ends_in_order_gives_the_lease_back() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("end"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    let Two { mut leader, follower } = two(&config, temp.path(), &namespace.0);
    leader.signal("TERM");
    assert!(leader.ends_within(Duration::from_secs(5)), "{}", leader.log());
    assert!(leader.log().contains("gave the Lease back"));
    until("the other leads", || follower.leads());
    let lease = |field: &str| {
        let path = format!("jsonpath={{.spec.{field}}}");
        kubectl(&["-n", &namespace.0, "get", "lease", "kubecure", "-o", &path]).unwrap()
    };
    assert_eq!(lease("leaseTransitions"), "2");
    let told = follower.log();
    let stood = told.lines().find(|line| line.contains("stands for election")).unwrap();
    assert!(stood.contains(&lease("holderIdentity")), "{stood}");
}

#[test]
fn one_without_the_right_says_so_and_writes_nothing() {
    let Some(config) = kubeconfig() else { return };
    let (temp, namespace) = (tempfile::tempdir().unwrap(), Namespace::new("none"));
    repository(&temp.path().join("repo"), &namespace.0, &["one"]);
    // A namespace that does not exist: as little as a right that is missing.
    let lease = format!("{}-gone/kubecure", namespace.0);
    let alone = Running::start(&config, temp.path(), "a", &namespace.0, &["--leader-elect", "--lease", &lease]);
    apply(&deployment(&namespace.0, "one"));
    until("it is said", || alone.page("/readyz").contains("FAIL  leader"));
    until("it waits", || alone.page("/metrics").contains(r#"kubecure_incidents{state="queued"} 1"#));
    assert!(alone.page("/readyz").starts_with("HTTP/1.1 503"));
    assert!(alone.page("/healthz").starts_with("HTTP/1.1 200"), "a new process would not help");
    assert_eq!(pull_requests(temp.path()), [""; 0]);
}
