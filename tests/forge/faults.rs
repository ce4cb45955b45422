//! A forge that fails, limits, cuts and refuses: nothing is doubled, nothing is lost, and no token is told.

use std::time::{Duration, Instant};

use kubecure::adapters::forge::api::Manner;
use kubecure::adapters::git::remote::Access;
use kubecure::case::Receipt;
use serde_json::json;

use crate::bed::{A, Shop, access, manner, pull};
use crate::gitea::gitea;
use crate::proxy::{Fault, Proxy};

/// A shop, and a controller that reaches it through a proxy.
fn bed() -> Option<(Shop, Proxy, crate::bed::Controller)> {
    let gitea = gitea()?;
    let shop = Shop::new(gitea);
    let proxy = Proxy::start(&gitea.url);
    let controller = shop.controller_at(&proxy.url, &access(&gitea.token), manner());
    Some((shop, proxy, controller))
}

const POST: &str = "POST /api/v1/repos/bot/";

fn post_pull(shop: &Shop) -> &'static str {
    Box::leak(format!("{POST}{}/pulls", shop.name).into_boxed_str())
}

#[test]
fn a_post_whose_answer_never_came_is_looked_for_and_not_repeated() {
    let Some((shop, proxy, controller)) = bed() else { return };
    proxy.fault(Fault::CutAfter { request: post_pull(&shop) });
    let receipt = controller.publish(&pull(A, "128Mi"));
    assert!(matches!(receipt, Receipt::Opened { .. }), "{receipt:?}");
    assert_eq!((proxy.seen(post_pull(&shop)).len(), shop.pulls("all").len()), (1, 1));
}

#[test]
fn a_bad_gateway_after_the_post_took_effect_doubles_nothing() {
    let Some((shop, proxy, controller)) = bed() else { return };
    proxy.fault(Fault::AfterAll { request: post_pull(&shop), status: 502 });
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!((proxy.seen(post_pull(&shop)).len(), shop.pulls("all").len()), (1, 1));
}

#[test]
fn a_post_that_took_no_effect_is_an_error_and_the_next_attempt_opens_it() {
    let Some((shop, proxy, controller)) = bed() else { return };
    let body = "{\"message\":\"try later\"}";
    proxy.fault(Fault::Instead { request: post_pull(&shop), times: 1, status: 500, headers: String::new(), body });
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("is not known") && error.contains("try later"), "{error}");
    assert_eq!((proxy.seen(post_pull(&shop)).len(), shop.pulls("all").len()), (1, 0));
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!(shop.pulls("all").len(), 1);
}

#[test]
fn reads_are_tried_again_and_a_forge_that_stays_away_is_an_error() {
    let Some((shop, proxy, controller)) = bed() else { return };
    let instead = |times| Fault::Instead {
        request: "GET /api/v1/",
        times,
        status: 503,
        headers: String::new(),
        body: "{\"message\":\"maintenance\"}",
    };
    proxy.fault(instead(2));
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    proxy.fault(instead(1000));
    let error = format!("{:#}", controller.try_publish(&pull(A, "256Mi")).unwrap_err());
    assert!(error.contains("503") && error.contains("maintenance"), "{error}");
    assert!(shop.file(&shop.branches()[0], "web.yaml").contains("128Mi"), "nothing was pushed blindly");
}

#[test]
fn who_is_asked_to_wait_waits_or_says_for_how_long() {
    let Some((shop, proxy, controller)) = bed() else { return };
    let limited = |headers: &str| Fault::Instead {
        request: "GET /api/v1/",
        times: 1,
        status: 429,
        headers: headers.to_owned(),
        body: "{}",
    };
    proxy.fault(limited("retry-after: 1\r\n"));
    let began = Instant::now();
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert!(began.elapsed() >= Duration::from_secs(1));
    // A date, by the forge's own clock.
    proxy.fault(limited("date: Fri, 27 Nov 2026 10:00:00 GMT\r\nretry-after: Fri, 27 Nov 2026 10:30:00 GMT\r\n"));
    let error = format!("{:#}", controller.try_publish(&pull(A, "256Mi")).unwrap_err());
    assert!(error.contains("limits how often it is asked"), "{error}");
    proxy.forget();
    assert!(controller.try_publish(&pull(A, "256Mi")).is_err());
    assert!(proxy.seen("GET /api/v1/").is_empty(), "while it is to wait nothing is asked");
    assert_eq!(shop.pulls("all").len(), 1);
}

#[test]
fn writes_keep_their_distance() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let gap = Duration::from_millis(300);
    let controller = shop.controller_at(&gitea.url, &access(&gitea.token), Manner { gap, ..manner() });
    let began = Instant::now();
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert!(began.elapsed() >= gap * 2, "two labels and a pull request are three writes");
}

#[test]
fn a_protected_branch_refuses_the_push_and_nothing_is_opened() {
    let Some((shop, _proxy, controller)) = bed() else { return };
    let rule = json!({"rule_name": "kubecure/**", "enable_push": false});
    shop.gitea.ask("POST", &format!("{}/branch_protections", shop.at()), &rule);
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("does not take branch"), "{error}");
    assert!(shop.pulls("all").is_empty() && shop.branches().is_empty());
}

#[test]
fn a_token_that_is_rotated_is_read_anew_and_none_is_ever_told() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, &gitea.token).unwrap();
    let access = Access { token_file: Some(file.clone()), ..Access::default() };
    let controller = shop.controller_at(&gitea.url, &access, manner());
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    let planted = "plantedplantedplantedplantedplantedplant";
    std::fs::write(&file, planted).unwrap();
    let error = format!("{:#}", controller.try_publish(&pull(A, "256Mi")).unwrap_err());
    assert!(error.contains("token") && !error.contains(planted), "{error}");
    let rotated = gitea.token_with(&format!("rotated-{}", shop.name), &["write:repository", "write:issue"]);
    std::fs::write(&file, rotated).unwrap();
    assert!(matches!(controller.publish(&pull(A, "256Mi")), Receipt::Updated { .. }));
}

#[test]
fn an_echo_of_the_token_is_masked_and_a_slow_answer_is_waited_for() {
    let Some((shop, proxy, controller)) = bed() else { return };
    let echo: &'static str = Box::leak(format!("{{\"message\":\"bad token {}\"}}", shop.gitea.token).into_boxed_str());
    proxy.fault(Fault::Instead { request: "GET /api/v1/", times: 9, status: 401, headers: String::new(), body: echo });
    let error = format!("{:#}", controller.try_publish(&pull(A, "128Mi")).unwrap_err());
    assert!(error.contains("bad token [redacted]") && !error.contains(&shop.gitea.token), "{error}");
    proxy.fault(Fault::Slow { request: post_pull(&shop), by: Duration::from_secs(2) });
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert_eq!(shop.pulls("all").len(), 1);
}

#[test]
fn a_repository_that_is_renamed_or_archived_loses_nothing() {
    let Some((shop, _proxy, controller)) = bed() else { return };
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    shop.gitea.ask("PATCH", &shop.at(), &json!({"archived": true}));
    let refused = controller.try_publish(&pull(A, "256Mi"));
    assert!(refused.is_err(), "{refused:?}");
    shop.gitea.ask("PATCH", &shop.at(), &json!({"archived": false}));
    assert!(matches!(controller.publish(&pull(A, "256Mi")), Receipt::Updated { .. }));
    assert_eq!(shop.pulls("all").len(), 1);
}

#[test]
fn what_a_pull_request_costs_is_counted() {
    let Some((_shop, proxy, controller)) = bed() else { return };
    proxy.forget();
    controller.publish(&pull(A, "128Mi"));
    let (first, writes) = (proxy.seen("").len(), proxy.seen("POST /api").len());
    proxy.forget();
    controller.publish(&pull(A, "128Mi"));
    let again = proxy.seen("").len();
    println!(
        "requests: {first} to open the first pull request ({writes} of them writes), {again} to find it unchanged"
    );
    assert!(first <= 16 && again <= 8, "{first} {again}");
    proxy.forget();
    std::thread::sleep(Duration::from_secs(2));
    assert!(proxy.seen("").is_empty(), "an idle controller asks the forge nothing");
}
