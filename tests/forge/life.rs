//! One pull request from its opening to its end, and the issue that came before it.

use std::time::Instant;

use kubecure::case::{EntryKind, EntryState, Receipt, Request};
use serde_json::json;

use crate::bed::{A, B, Shop, WEB, access, issue, manner, pull, pull_for, until, why};
use crate::gitea::gitea;

#[test]
fn a_pull_request_is_opened_with_its_labels_and_a_second_call_changes_nothing() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let mut request = pull_for("web", A, "128Mi");
    request.draft = true;
    let request = Request::PullRequest(request);
    let receipt = controller.publish(&request);
    let Receipt::Opened { kind: EntryKind::PullRequest, number, link } = &receipt else { panic!("{receipt:?}") };
    assert_eq!(*link, format!("{}/bot/{}/pulls/{number}", gitea.url, shop.name));
    let pulls = shop.pulls("all");
    assert_eq!(pulls.len(), 1);
    assert_eq!((&pulls[0]["draft"], &pulls[0]["base"]["ref"]), (&json!(true), &json!("main")));
    let labels: Vec<&str> = pulls[0]["labels"].as_array().unwrap().iter().filter_map(|l| l["name"].as_str()).collect();
    assert_eq!(labels, ["kubecure", "kubecure/oom-killed"]);
    assert!(shop.file(&shop.branches()[0], "web.yaml").contains("128Mi"));
    let before = (pulls[0]["updated_at"].clone(), pulls[0]["head"]["sha"].clone());
    // Another process, another machine: it knows nothing but the forge.
    for controller in [&controller, &shop.controller()] {
        assert!(why(&controller.publish(&request)).contains("nothing has changed"));
        let entries = controller.history().entries;
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0].state, entries[0].number, entries[0].failure.as_str()),
            (EntryState::Open, *number, "oom-killed")
        );
        assert_eq!(entries[0].workloads, ["Deployment shop/web"]);
        assert!(entries[0].opened.is_some());
    }
    let pulls = shop.pulls("all");
    assert_eq!((pulls[0]["updated_at"].clone(), pulls[0]["head"]["sha"].clone()), before);
}

#[test]
fn a_better_value_is_brought_up_to_date_in_place_and_what_people_wrote_stays() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let Receipt::Opened { number, .. } = controller.publish(&pull(A, "128Mi")) else { panic!("not opened") };
    let body = shop.pulls("open")[0]["body"].as_str().unwrap().to_owned();
    shop.edit(number, &json!({"body": format!("Ada: looks good\n\n{body}\n\nBen: merge on Monday")}));
    let receipt = controller.publish(&pull(A, "256Mi"));
    assert!(matches!(receipt, Receipt::Updated { number: n, .. } if n == number), "{receipt:?}");
    let pulls = shop.pulls("all");
    assert_eq!(pulls.len(), 1);
    assert_eq!(pulls[0]["title"], "web: raise the memory limit to 256Mi");
    let body = pulls[0]["body"].as_str().unwrap();
    assert!(
        body.starts_with("Ada: looks good")
            && body.contains("256Mi")
            && body.trim_end().ends_with("Ben: merge on Monday")
    );
    assert!(shop.file(&shop.branches()[0], "web.yaml").contains("256Mi"));
}

#[test]
fn a_persons_commit_on_the_branch_means_hands_off_and_is_said_once() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let Receipt::Opened { number, .. } = controller.publish(&pull(A, "128Mi")) else { panic!("not opened") };
    let branch = shop.branches()[0].clone();
    shop.commit(&branch, &[("web.yaml", &WEB.replace("64Mi", "96Mi"))]);
    for _ in 0..2 {
        assert!(why(&controller.publish(&pull(A, "256Mi"))).contains("hands off"));
    }
    assert!(shop.file(&branch, "web.yaml").contains("96Mi"), "a person's commit is theirs");
    let said: Vec<String> = shop.comments(number).into_iter().filter(|text| text.contains("leaves it alone")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(controller.history().entries[0].foreign_commit.as_deref().is_some_and(|commit| commit.ends_with("by Ada")));
}

#[test]
fn a_branch_of_somebody_else_by_our_name_is_never_touched() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let request = pull(A, "128Mi");
    let Request::PullRequest(asked) = &request else { unreachable!() };
    shop.git(&["checkout", "-q", "-b", "mine"]);
    shop.git(&["commit", "-q", "--allow-empty", "-m", "mine"]);
    shop.git(&["push", "-q", "origin", &format!("HEAD:{}", asked.branch)]);
    let tip = shop.git(&["rev-parse", "HEAD"]);
    assert!(why(&shop.controller().publish(&request)).contains("hands off"));
    assert_eq!(shop.git(&["ls-remote", "origin", &asked.branch]).split('\t').next(), Some(tip.as_str()));
    assert!(shop.pulls("all").is_empty());
}

#[test]
fn what_a_person_closed_is_not_offered_again_whatever_they_took_away() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let Receipt::Opened { number, .. } = controller.publish(&pull(A, "128Mi")) else { panic!("not opened") };
    shop.edit(number, &json!({"state": "closed"}));
    assert!(why(&controller.publish(&pull(A, "128Mi"))).contains("closed by a person"));
    assert_eq!(controller.history().entries[0].state, EntryState::Closed);
    // Another value for the same line is the same problem.
    assert!(why(&controller.publish(&pull(A, "256Mi"))).contains("closed by a person"));
    // Branch, label and hidden line are gone: the forge still knows from which branch it came.
    shop.git(&["push", "-q", "origin", "--delete", "kubecure/shop/web/oom-killed-aaaaaaaa"]);
    shop.edit(number, &json!({"body": "no thanks"}));
    gitea.ask("DELETE", &format!("{}/issues/{number}/labels", shop.at()), &serde_json::Value::Null);
    assert!(why(&shop.controller().publish(&pull(A, "128Mi"))).contains("closed by a person"));
    assert_eq!(shop.pulls("all").len(), 1);
    assert!(shop.branches().is_empty(), "nothing was pushed again");
    // With another current value it is another problem.
    assert!(matches!(controller.publish(&pull(B, "128Mi")), Receipt::Opened { .. }));
}

#[test]
fn what_was_merged_is_merged_whichever_way() {
    let Some(gitea) = gitea() else { return };
    for way in ["squash", "merge", "rebase"] {
        let shop = Shop::new(gitea);
        let controller = shop.controller();
        let Receipt::Opened { number, .. } = controller.publish(&pull(A, "128Mi")) else { panic!("not opened") };
        shop.merge(number, way);
        assert!(why(&controller.publish(&pull(A, "128Mi"))).contains("merged"), "{way}");
        assert_eq!(controller.history().entries[0].state, EntryState::Merged, "{way}");
        assert_eq!(shop.pulls("all").len(), 1, "{way}");
    }
}

#[test]
fn a_base_that_moved_under_the_same_file_is_built_upon_anew() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let Receipt::Opened { number, .. } = controller.publish(&pull(A, "128Mi")) else { panic!("not opened") };
    // The very next line: Git itself could not merge that.
    let moved = WEB.replace("image: shop/web:1.0.0", "image: shop/web:1.1.0");
    shop.commit("main", &[("web.yaml", &moved)]);
    let mut request = pull_for("web", A, "128Mi");
    request.files[0].before = moved.clone().into();
    request.files[0].after = moved.replace("64Mi", "128Mi");
    let request = Request::PullRequest(request);
    assert!(matches!(controller.publish(&request), Receipt::Updated { number: n, .. } if n == number));
    let branch = shop.branches()[0].clone();
    let text = shop.file(&branch, "web.yaml");
    assert!(text.contains("1.1.0") && text.contains("128Mi"), "{text}");
    assert_eq!(shop.git(&["rev-list", "--count", &format!("origin/main..origin/{branch}")]), "1");
    let path = format!("{}/pulls/{number}", shop.at());
    until("it can be merged again", || gitea.get(&path)["mergeable"] == true);
    assert!(why(&controller.publish(&request)).contains("nothing has changed"));
}

#[test]
fn one_pull_request_for_a_workload_and_limits_are_counted_in_the_forge() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let first = shop.controller();
    assert!(matches!(first.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert!(why(&first.publish(&pull(B, "128Mi"))).contains("one at a time"));
    let other = Request::PullRequest(pull_for("ads", B, "128Mi"));
    assert!(matches!(first.publish(&other), Receipt::Opened { .. }));
    drop(first);
    let entries = shop.controller().history().entries;
    let open = entries.iter().filter(|entry| entry.state == EntryState::Open && entry.kind == EntryKind::PullRequest);
    assert_eq!(open.count(), 2, "after a restart the forge tells how many are open");
    assert!(entries.iter().all(|entry| entry.opened.is_some()), "and when: {entries:?}");
}

#[test]
fn an_issue_is_joined_answered_by_its_pull_request_and_final_when_a_person_closes_it() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller = shop.controller();
    let Receipt::Opened { kind: EntryKind::Issue, number, .. } = controller.publish(&issue(B, &["web"])) else {
        panic!("not opened")
    };
    assert!(why(&controller.publish(&issue(B, &["web"]))).contains("nothing has changed"));
    assert_eq!(shop.issues("open").len(), 1);
    // More is known: the pull request is the answer, and our own closing is no word of a person.
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    assert!(shop.issues("open").is_empty());
    assert!(shop.comments(number).iter().any(|text| text.contains("More is known now")));
    assert!(controller.history().entries.iter().all(|entry| entry.kind == EntryKind::PullRequest));
    let Receipt::Opened { number, .. } = controller.publish(&issue(B, &["web"])) else { panic!("not opened again") };
    // Two workloads behind one cause join the one that is open.
    let joined = controller.publish(&issue("cccccccccccccccc", &["web", "ads"]));
    assert!(matches!(joined, Receipt::Updated { number: n, .. } if n == number), "{joined:?}");
    assert_eq!(shop.issues("open")[0]["title"], "Needs a person: web, ads");
    shop.edit(number, &json!({"state": "closed"}));
    assert!(why(&controller.publish(&issue("cccccccccccccccc", &["web", "ads"]))).contains("closed by a person"));
    assert!(shop.issues("open").is_empty());
}

#[test]
fn an_unknown_reviewer_is_no_reason_to_have_no_pull_request() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let mut request = pull_for("web", A, "128Mi");
    request.reviewers = vec!["nobody-by-this-name".to_owned()];
    assert!(matches!(shop.controller().publish(&Request::PullRequest(request)), Receipt::Opened { .. }));
    gitea.ask(
        "POST",
        "admin/users",
        &json!({"username": format!("ada-{}", shop.name), "email": format!("{}@example.com", shop.name), "password": "not-a-secret-1", "must_change_password": false}),
    );
    let ada = format!("ada-{}", shop.name);
    gitea.ask("PUT", &format!("{}/collaborators/{ada}", shop.at()), &json!({"permission": "write"}));
    let mut request = pull_for("ads", B, "128Mi");
    request.reviewers = vec![ada.clone()];
    let Receipt::Opened { number, .. } = shop.controller().publish(&Request::PullRequest(request)) else {
        panic!("not opened")
    };
    let reviews = gitea.get(&format!("{}/pulls/{number}/reviews", shop.at()));
    assert!(reviews.as_array().unwrap().iter().any(|review| review["user"]["login"] == ada.as_str()), "{reviews}");
}

#[test]
fn doctor_knows_what_a_token_may_not_and_writes_nothing() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let look = |token: &str| {
        let repo = kubecure::case::RepoUrl::parse(&format!("{}/bot/{}.git", gitea.url, shop.name)).unwrap();
        let address = kubecure::adapters::forge::address::Address::new(
            kubecure::adapters::forge::address::Kind::Gitea,
            None,
            &repo,
        );
        let door = kubecure::adapters::git::remote::Door::new(
            access(token),
            kubecure::adapters::git::remote::Limits::default(),
        );
        kubecure::adapters::forge::connect(&address.unwrap(), door, manner()).look()
    };
    let all = look(&gitea.token).unwrap();
    assert_eq!((all.login.as_deref(), all.missing.len()), (Some("bot"), 0), "{all:?}");
    let least = gitea.token_with(&format!("least-{}", shop.name), &["write:repository", "write:issue"]);
    let least = look(&least).unwrap();
    assert!(least.missing.is_empty() && least.login.is_none(), "{least:?}");
    let reads = gitea.token_with(&format!("reads-{}", shop.name), &["read:repository", "read:issue"]);
    let reads = look(&reads).unwrap();
    assert!(reads.missing.iter().any(|what| what.contains("write:issue")), "{reads:?}");
    assert!(reads.missing.iter().any(|what| what.contains("write:repository")), "{reads:?}");
    let error = look("0123456789012345678901234567890123456789").unwrap_err().to_string();
    assert!(error.contains("refuses the token") && !error.contains("0123456789012345"), "{error}");
    assert!(shop.issues("all").is_empty() && shop.pulls("all").is_empty());
}

#[test]
fn from_a_finding_to_its_pull_request_within_a_second() {
    let Some(gitea) = gitea() else { return };
    let shop = Shop::new(gitea);
    let controller =
        shop.controller_at(&gitea.url, &access(&gitea.token), kubecure::adapters::forge::api::Manner::default());
    // Labels are made once for a repository, with a pause after each.
    assert!(matches!(controller.publish(&pull(A, "128Mi")), Receipt::Opened { .. }));
    std::thread::sleep(std::time::Duration::from_secs(1));
    let began = Instant::now();
    assert!(matches!(controller.publish(&Request::PullRequest(pull_for("ads", B, "128Mi"))), Receipt::Opened { .. }));
    println!("request to opened pull request: {} ms", began.elapsed().as_millis());
}
