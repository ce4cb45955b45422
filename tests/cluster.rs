//! KubeCure on a real cluster: real containers fail, real branches come of it, and nothing is written to the cluster.
//!
//! `KUBECURE_TEST_CLUSTER` is the administrator's kubeconfig of a cluster that `tests/cluster/up` brought up; without it
//! everything here is skipped, and says so. The trials share the cluster.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::must_use_candidate,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

#[path = "cluster/bed.rs"]
mod bed;
#[path = "cluster/expected.rs"]
mod expected;
#[path = "cluster/failing.rs"]
mod failing;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/life.rs"]
mod life;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use bed::Bed;
use libtest_mimic::{Arguments, Trial};

/// A name, and what is done with the cluster.
type Try = (&'static str, fn(&Bed));

/// What is tried, in this order, and how much of it at the same time. What is deployed takes the account of all others away
/// when it begins; and faults come last and alone, because what they break takes its time to be whole again.
const TRIALS: &[(usize, &[Try])] = &[
    (1, &[("what_deploy_holds_works_in_the_cluster", life::what_deploy_holds_works_in_the_cluster)]),
    // Each of the two keeps a processor busy, and a probe that is late because of the other is evidence.
    (
        2,
        &[
            ("the_shop_is_cured", life::the_shop_is_cured),
            ("a_namespace_that_goes_opens_nothing", faults::a_namespace_that_goes_opens_nothing),
        ],
    ),
    (
        2,
        &[
            ("every_case_is_named_right", life::every_case_is_named_right),
            ("killed_at_any_stage_it_is_finished_by_the_next", faults::killed_at_any_stage_it_is_finished_by_the_next),
        ],
    ),
    (
        1,
        &[
            ("an_outage_of_the_api_server_doubles_nothing", faults::an_outage_of_the_api_server_doubles_nothing),
            ("a_slow_etcd_loses_nothing", faults::a_slow_etcd_loses_nothing),
            ("a_silent_node_is_one_incident", faults::a_silent_node_is_one_incident),
            ("nothing_was_written", life::nothing_was_written),
        ],
    ),
];

fn main() {
    let mut arguments = Arguments::from_args();
    let cluster = std::env::var_os("KUBECURE_TEST_CLUSTER").map(PathBuf::from);
    if cluster.is_none() && !arguments.list {
        println!("skipped: KUBECURE_TEST_CLUSTER is not set (./tests/run brings a cluster up where it can)");
    }
    let mut failed = false;
    for (at_once, trials) in TRIALS {
        arguments.test_threads = Some(*at_once);
        let trials = trials.iter().map(|(name, trial)| {
            let admin = cluster.clone();
            Trial::test(*name, move || {
                let began = Instant::now();
                trial(bed(admin.unwrap()));
                println!("{name}: {} s", began.elapsed().as_secs());
                Ok(())
            })
            .with_ignored_flag(cluster.is_none())
        });
        failed |= libtest_mimic::run(&arguments, trials.collect()).has_failed();
    }
    std::process::exit(if failed { 101 } else { 0 });
}

/// Made when the first trial wants it.
fn bed(admin: PathBuf) -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(|| Bed::new(admin))
}
