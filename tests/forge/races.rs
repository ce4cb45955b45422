//! Two controllers at the same time, and one that is killed at every step.

use std::sync::{Arc, Barrier};

use kubecure::case::{Receipt, Request};

use crate::bed::{A, Shop, access, issue, manner, pull, pull_for};
use crate::gitea::gitea;
use crate::proxy::{Fault, Proxy};

#[test]
fn two_controllers_at_once_open_one_pull_request() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controllers: Vec<_> = (0..2).map(|_| Arc::new(shop.controller())).collect();
    for round in 0..6 {
        let (fingerprint, workload) = (format!("{round:016x}"), format!("w{round}"));
        let barrier = Arc::new(Barrier::new(2));
        let threads: Vec<_> = controllers
            .iter()
            .cloned()
            .map(|controller| {
                let request = Request::PullRequest(pull_for(&workload, &fingerprint, "128Mi"));
                let barrier = barrier.clone();
                std::thread::spawn(move || {
                    barrier.wait();
                    controller.publish(&request)
                })
            })
            .collect();
        let receipts: Vec<Receipt> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let opened = receipts.iter().filter(|receipt| matches!(receipt, Receipt::Opened { .. })).count();
        assert!(opened <= 1, "{receipts:?}");
        let open = shop.pulls("open");
        let of_it =
            open.iter().filter(|pull| pull["head"]["ref"].as_str().is_some_and(|name| name.contains(&workload)));
        assert_eq!(of_it.count(), 1, "round {round}: {receipts:?}");
    }
    assert_eq!(shop.branches().len(), 6);
}

#[test]
fn a_controller_that_is_killed_at_any_request_is_gone_on_from_there() {
    let Some(gitea) = gitea() else { return };
    // Each time it gets one request further, and the next process finishes.
    for step in 0..40 {
        let shop = Shop::new(gitea);
        let proxy = Proxy::start(&gitea.url);
        let killed = shop.controller_at(&proxy.url, &access(&gitea.token), manner());
        proxy.fault(Fault::DownAfter(step));
        let finished = killed.try_publish(&pull(A, "128Mi")).is_ok();
        drop(killed);
        let next = shop.controller();
        let receipt = next.publish(&pull(A, "128Mi"));
        let pulls = shop.pulls("all");
        assert_eq!(pulls.len(), 1, "step {step}: {receipt:?}");
        assert_eq!((&pulls[0]["state"], shop.branches().len()), (&"open".into(), 1), "step {step}");
        let labels: Vec<&str> =
            pulls[0]["labels"].as_array().unwrap().iter().filter_map(|l| l["name"].as_str()).collect();
        assert_eq!(labels, ["kubecure", "kubecure/oom-killed"], "step {step}");
        if finished {
            println!("killed at each of {step} requests");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn an_issue_is_opened_once_by_one_that_was_killed_and_the_next() {
    let Some(gitea) = gitea() else { return };
    for step in 0..20 {
        let shop = Shop::new(gitea);
        let proxy = Proxy::start(&gitea.url);
        let killed = shop.controller_at(&proxy.url, &access(&gitea.token), manner());
        proxy.fault(Fault::DownAfter(step));
        let finished = killed.try_publish(&issue(A, &["web"])).is_ok();
        shop.controller().publish(&issue(A, &["web"]));
        assert_eq!(shop.issues("all").len(), 1, "step {step}");
        if finished {
            return;
        }
    }
    panic!("it never came to its end");
}
