use std::fmt::Write as _;

use super::check::PLACEHOLDERS;
use super::*;
use crate::case::{FailureId, Finding, Incident, ObjectRef, Shared};
use crate::quantity::Quantity;
use crate::yaml::FieldPath;

const READY_MADE: [(&str, &str); 4] = [
    ("policies/default.yaml", include_str!("../../../policies/default.yaml")),
    ("policies/cautious.yaml", include_str!("../../../policies/cautious.yaml")),
    ("policies/rules-only.yaml", include_str!("../../../policies/rules-only.yaml")),
    ("policies/production.yaml", include_str!("../../../policies/production.yaml")),
];

fn read(files: &[(&str, &str)]) -> Result<Policies, Vec<PolicyProblem>> {
    let files: Vec<PolicyFile<'_>> = files.iter().map(|(path, text)| PolicyFile { path, text }).collect();
    Policies::read(&files)
}

/// A policy with this spec, in flow or block style.
fn policy(name: &str, spec: &str) -> String {
    format!("apiVersion: {API_VERSION}\nkind: HealingPolicy\nmetadata: {{name: {name}}}\nspec:\n{spec}\n")
}

/// The problems of one policy as `line:column message [hint]`.
fn problems(text: &str) -> Vec<String> {
    let Err(problems) = read(&[("p.yaml", text)]) else { return Vec::new() };
    let show = |p: &PolicyProblem| {
        let hint = p.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{}:{} {}{hint}", p.line, p.column, p.message)
    };
    problems.iter().map(show).collect()
}

fn workload(kind: &str, namespace: &str) -> ObjectRef {
    ObjectRef::new("apps/v1", kind, Some(namespace), "web")
}

fn decide<'p>(policies: &'p Policies, namespace: &str) -> Decision<'p> {
    policies.decide(&workload("Deployment", namespace), &BTreeMap::new())
}

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

#[test]
fn the_ready_made_policies_have_no_problem_and_every_key() {
    for (file, text) in READY_MADE {
        let policies = read(&[(file, text)]).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(policies.warnings(), [], "{file}");
        let spec = node::documents(text).unwrap()[0].get("spec").unwrap().value();
        let keys: Vec<&String> =
            policy_schema()["properties"]["spec"]["properties"].as_object().unwrap().keys().collect();
        for key in keys {
            let inner = policy_schema()["properties"]["spec"]["properties"][key]["properties"].as_object();
            for inner in inner.into_iter().flat_map(serde_json::Map::keys) {
                assert!(!spec[key][inner].is_null(), "{file} lacks {key}.{inner}");
                assert!(text.lines().any(|line| line.trim_start().starts_with('#')), "{file}");
            }
            assert!(!spec[key].is_null(), "{file} lacks {key}");
        }
    }
}

#[test]
fn the_default_allows_something_for_each_failure() {
    let policies = Policies::built_in();
    let default = decide(&policies, "shop").policy;
    for failure in KNOWN_FAILURES {
        // What a node does not do, no line of Git mends.
        let is_curable = *failure != "node-not-ready";
        assert_eq!(default.allowances(failure).next().is_some(), is_curable, "{failure}");
    }
}

#[test]
fn what_is_left_out_is_inherited() {
    let policies = read(&[("a.yaml", &policy("mine", "  match: {namespaces: [shop]}"))]).unwrap();
    let decision = decide(&policies, "shop");
    let built_in = Policies::built_in();
    let default = decide(&built_in, "shop").policy.clone();
    assert_eq!((decision.policy.name.as_str(), decision.file.as_str()), ("mine", "a.yaml"));
    assert_eq!(decision.policy.deliver.min_confidence, 80);
    assert_eq!(decision.policy.allow, default.allow);
    assert_eq!(decision.policy.r#match.exclude, default.r#match.exclude);

    let policies = read(&[("a.yaml", &policy("mine", "  deliver: {rule: draft}\n  allow: []"))]).unwrap();
    let decision = decide(&policies, "shop");
    assert_eq!(decision.policy.deliver.rule, Delivery::Draft);
    assert_eq!(decision.policy.deliver.revert, Delivery::PullRequest);
    assert_eq!(decision.policy.allow, []);
}

#[test]
fn each_mistake_is_told_with_its_place_and_the_nearest_word() {
    let table = [
        ("  alow: []", "5:3 unknown key `alow` [the nearest key is `allow`]"),
        (
            "  allow: [{failure: oom-killed, field: spec.x, machFactor: 2}]",
            "5:48 unknown key `machFactor` [the nearest key is `maxFactor`]",
        ),
        (
            "  allow:\n    - failure: oom-kill\n      field: spec.x",
            "6:16 unknown failure `oom-kill` [the nearest is `oom-killed`]",
        ),
        (
            "  allow: [{failure: oom-killed, field: \"a..b\"}]",
            "5:40 `a..b` is no field: a key is empty [write it as `spec.template.spec.containers[*].image`]",
        ),
        (
            "  allow: [{failure: oom-killed, field: spec.x, max: 4GiB}]",
            "5:53 `4GiB` is no quantity [write a number and a unit without a space: `512Mi`, `4Gi`, `500m`, `2`]",
        ),
        (
            "  allow: [{failure: oom-killed, field: spec.x, maxFactor: 0.5}]",
            "5:59 `maxFactor` must be at least 1, and is 0.5",
        ),
        ("  allow: [{failure: oom-killed}]", "5:11 `field` is missing in `allow`"),
        ("  deliver: {minConfidence: 101}", "5:28 `minConfidence` must be at most 100, and is 101"),
        ("  deliver: {minConfidence: high}", "5:28 `minConfidence` must be a whole number, and is text"),
        ("  deliver: {rule: pullrequest}", "5:19 `pullrequest` is no value of `rule` [the nearest is `pullRequest`]"),
        ("  verify: {window: ten}", "5:20 `ten` is no duration [write it as `8h`, `10m`, `1h30m` or `2d`]"),
        (
            "  schedule: {windows: [{cron: \"0 9 * * *\", duration: 8h, timezone: Europe/Berln}]}",
            "5:68 unknown time zone `Europe/Berln` [the nearest is `Europe/Berlin`]",
        ),
        (
            "  schedule: {windows: [{cron: \"0 0 31 2 *\", duration: 8h}]}",
            "5:31 `0 0 31 2 *` never comes [minute, hour, day of month, month, day of week: `0 9 * * MON-FRI`]",
        ),
        ("  schedule: {windows: [{duration: 8h}]}", "5:24 `cron` is missing in `windows`"),
        ("  schedule: {freeze: [{reason: x}]}", "5:23 a freeze needs `cron` and `duration`, or `from` and `to`"),
        ("  schedule: {freeze: [{from: 2026-12-20, to: 2026-12-19}]}", "5:46 the freeze is over before it begins"),
        (
            "  schedule: {freeze: [{from: 2026-13-20}]}",
            "5:30 `2026-13-20` is no day and no moment [write a day as `2026-12-20`, a moment as `2026-12-20T18:00`]",
        ),
        (
            "  match: {namespaces: shop}",
            "5:23 `namespaces` must be a list, and is text [a list of one is written [\"shop\"]]",
        ),
        ("  match: {namespaces: []}", "5:23 `namespaces` is empty, so nothing would match"),
        ("  match: {labels: {tier: 1}}", "5:26 `tier` must be text, and is a number [put it in quotes: \"1\"]"),
        (
            "  match: {kinds: [deployment]}",
            "5:19 `deployment` is no kind [as manifests write it: `Deployment`, `CronJob`]",
        ),
        (
            "  limits:",
            "5:3 `limits` must be a map, and is nothing [leave the key out to have the default, or write [] or {} for none]",
        ),
        ("  limits: {perWorkload: 1, perWorkload: 2}", "5:28 `perWorkload` is given twice"),
        ("  limits: {perWorkload: -1}", "5:25 `perWorkload` must be at least 0, and is -1"),
        ("  pullRequest: {subject: \"fix: {helpp}\"}", "5:26 nothing stands for `{helpp}` [the nearest is `help`]"),
        ("  pullRequest: {trailers: {KubeCure-Fix: x}}", "5:28 `KubeCure-Fix` is KubeCure's own trailer"),
        ("  layer: !x narrowest", "5:13 tags are not read here"),
        ("  settle: {crash-lop: 2m}", "5:12 unknown failure `crash-lop` [the nearest is `crash-loop`]"),
        (
            "  settle: {crash-loop: 2 min}",
            "5:24 `2 min` is no duration [write it as `30s`, `2m` or `1h30m`; one second at least, a day at most]",
        ),
        (
            "  settle: {crash-loop: 25h}",
            "5:24 `25h` is too long: nothing would be worked [write it as `30s`, `2m` or `1h30m`; one second at least, a day at most]",
        ),
        (
            "  settle: {crash-loop: 0s}",
            "5:24 `0s` lasts no time at all [write it as `30s`, `2m` or `1h30m`; one second at least, a day at most]",
        ),
        ("  settle: {crash-loop: 30}", "5:24 `crash-loop` must be text, and is a number [put it in quotes: \"30\"]"),
        ("  settle: 2m", "5:11 `settle` must be a map, and is text"),
    ];
    for (spec, expected) in table {
        assert_eq!(problems(&policy("a", spec)), [expected], "{spec}");
    }
}

#[test]
fn a_failure_settles_in_the_time_of_its_policy_and_what_is_left_out_in_that_of_the_default() {
    let text = policy("a", "  match: {namespaces: [shop]}\n  settle: {crash-loop: PT2M, node: 10s}");
    let policies = read(&[("p.yaml", &text)]).unwrap();
    let incident = |failure: &'static str, shared| {
        let workload = workload("Deployment", "shop");
        let (symptom, pods) = (String::new(), Vec::new());
        let failure = FailureId(failure);
        let finding = Finding { failure, workload, container: None, symptom, since: None, pods, shared: None };
        Incident { failure, findings: vec![finding], shared }
    };
    let time = |namespace, failure, shared| {
        decide(&policies, namespace).policy.settle.of(&incident(failure, shared)).as_secs()
    };
    let node = || Some(Shared::Node("a".to_owned()));
    assert_eq!((time("shop", "crash-loop", None), time("other", "crash-loop", None)), (120, 30));
    assert_eq!((time("shop", "hpa-failing", None), time("other", "probe-failing", None)), (120, 60));
    assert_eq!(
        (time("other", "crash-loop", node()), time("shop", "crash-loop", node())),
        (180, 120),
        "the longer counts"
    );
    for (failure, time) in Policies::built_in().all().next().unwrap().1.settle.all() {
        assert!((30..=180).contains(&time.as_secs()), "{failure}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = policy("a", "  layer: narow\n  limits: {perWorkload: x}\n  verify: {windw: 10m}");
    assert_eq!(problems(&text).len(), 3);
}

#[test]
fn columns_count_characters() {
    let found = problems(&policy("a", "  match: {labels: {ä: \"ö\"}, kind: []}"));
    assert_eq!(found, ["5:29 unknown key `kind` [the nearest key is `kinds`]"]);
}

#[test]
fn what_is_no_policy_is_refused() {
    let table = [
        ("kind: HealingPolcy\n", "1:7 unknown kind `HealingPolcy` [the nearest kind is `HealingPolicy`]"),
        (
            "kind: ConfigMap\n",
            "1:7 unknown kind `ConfigMap` [a file here begins with `apiVersion: healing.kubecure.io/v1alpha1` and `kind: HealingPolicy`]",
        ),
        (
            "- 1\n",
            "1:1 no object with a `kind` [a file here begins with `apiVersion: healing.kubecure.io/v1alpha1` and `kind: HealingPolicy`]",
        ),
        (
            "apiVersion: healing.kubecure.io/v1\nkind: HealingPolicy\nmetadata: {name: a}\nspec: {}\n",
            "1:13 `healing.kubecure.io/v1` is no value of `apiVersion` [the nearest is `healing.kubecure.io/v1alpha1`]",
        ),
        (
            "apiVersion: healing.kubecure.io/v1alpha1\nkind: HealingPolicy\nmetadata: {}\nspec: {}\n",
            "3:11 `name` is missing in `metadata`",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text), [expected]);
    }
    assert!(problems("a: [\n")[0].contains("not readable as YAML"));
}

#[test]
fn files_that_are_no_data_and_empty_documents_are_passed_over() {
    let own = format!("# nothing yet\n---\n---\n{}", policy("a", "  {}"));
    let policies = read(&[(".kubecure/README.md", "# [hello"), (".kubecure/a.yaml", &own)]).unwrap();
    assert_eq!(policies.all().count(), 2);
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        writeln!(text, "b{i}: &a{i} [{aliases}]").unwrap();
    }
    assert!(problems(&text)[0].contains("nested too deeply, or its aliases"));
    assert!(!problems(&"[".repeat(100_000)).is_empty());
}

#[test]
fn two_policies_have_two_names() {
    let Err(problems) = read(&[
        ("a.yaml", &policy("x", "  match: {namespaces: [a]}")),
        ("b.yaml", &policy("x", "  match: {namespaces: [b]}")),
    ]) else {
        panic!("two policies of one name were read");
    };
    assert_eq!(problems[0].to_string(), "b.yaml:3:18: there is a policy `x` already, in a.yaml:3");
}

#[test]
fn equals_are_warned_about_and_the_first_file_wins() {
    let (a, b) = (policy("a", "  match: {namespaces: [\"team-*\"]}"), policy("b", "  match: {namespaces: [\"*-x\"]}"));
    let policies = read(&[("2.yaml", &b), ("1.yaml", &a)]).unwrap();
    assert_eq!(
        policies.warnings()[0].to_string(),
        "2.yaml:3:18: policy `a` in 1.yaml is for the same things as `b` (namespace `team-*` and `*-x`), and wins"
    );
    assert_eq!(decide(&policies, "team-x").policy.name, "a");

    let distinct = [
        ("{namespaces: [a]}", "{namespaces: [\"*\"]}"),
        ("{namespaces: [\"a-*\"]}", "{namespaces: [\"b-*\"]}"),
        ("{kinds: [Job]}", "{kinds: [Deployment]}"),
        ("{kinds: [Job]}", "{}"),
        ("{labels: {a: x}}", "{labels: {a: y}}"),
        ("{labels: {a: x}}", "{labels: {a: x, b: y}}"),
    ];
    for (a, b) in distinct {
        let (a, b) = (policy("a", &format!("  match: {a}")), policy("b", &format!("  match: {b}")));
        assert_eq!(read(&[("1.yaml", &a), ("2.yaml", &b)]).unwrap().warnings(), [], "{a} {b}");
    }
}

#[test]
fn the_most_specific_policy_decides() {
    let policies = read(&[
        ("1.yaml", &policy("any", "  match: {namespaces: [\"*\"]}")),
        ("2.yaml", &policy("labelled", "  match: {namespaces: [\"*\"], labels: {tier: db}}")),
        ("3.yaml", &policy("kinds", "  match: {namespaces: [\"*\"], kinds: [CronJob]}")),
        ("4.yaml", &policy("team", "  match: {namespaces: [\"team-*\"]}")),
        ("5.yaml", &policy("exact", "  match: {namespaces: [team-a]}")),
    ])
    .unwrap();
    let labels = BTreeMap::from([("tier".to_owned(), "db".to_owned())]);
    let name = |kind: &str, namespace: &str, labels: &BTreeMap<String, String>| {
        policies.decide(&workload(kind, namespace), labels).policy.name.clone()
    };
    let none = BTreeMap::new();
    assert_eq!(name("Deployment", "shop", &none), "any");
    assert_eq!(name("Deployment", "shop", &labels), "labelled");
    assert_eq!(name("CronJob", "shop", &labels), "kinds");
    assert_eq!(name("CronJob", "team-b", &labels), "team");
    assert_eq!(name("CronJob", "team-a", &labels), "exact");
}

#[test]
fn an_excluded_namespace_is_left_alone_also_by_the_default() {
    let policies = read(&[("p.yaml", &policy("mine", "  match: {exclude: [payments, \"secret-*\"]}"))]).unwrap();
    for namespace in ["payments", "secret-x"] {
        let decision = decide(&policies, namespace);
        assert!(decision.excluded.unwrap().contains("policy `mine` leaves Deployment"), "{:?}", decision.considered);
    }
    assert!(decide(&policies, "shop").excluded.is_none());

    let built_in = Policies::built_in();
    let decision = decide(&built_in, "kube-system");
    assert_eq!(decision.file, "built-in default");
    assert_eq!(
        decision.excluded.unwrap(),
        "policy `default` leaves Deployment kube-system/web alone: namespace `kube-system` is excluded by `kube-system`"
    );
}

#[test]
fn another_policy_can_take_what_one_excludes() {
    let policies = read(&[
        ("1.yaml", &policy("most", "  match: {exclude: [payments]}")),
        ("2.yaml", &policy("payments", "  match: {namespaces: [payments]}")),
    ])
    .unwrap();
    let decision = decide(&policies, "payments");
    assert_eq!((decision.policy.name.as_str(), decision.excluded), ("payments", None));
    assert_eq!(decision.considered.len(), 3);
}

#[test]
fn a_namespace_that_is_named_and_excluded_is_warned_about() {
    let policies = read(&[("p.yaml", &policy("mine", "  match: {namespaces: [kube-system]}"))]).unwrap();
    assert!(policies.warnings()[0].message.contains("names namespace `kube-system` and excludes it"));
    assert!(decide(&policies, "kube-system").excluded.is_some());
}

#[test]
fn a_pattern_never_matches_an_object_without_a_namespace() {
    let policies = Policies::built_in();
    let node = ObjectRef::new("v1", "PersistentVolume", None, "data");
    assert_eq!(policies.decide(&node, &BTreeMap::new()).excluded.unwrap(), "no policy is for PersistentVolume data");
}

#[test]
fn a_pattern_of_a_pod_template_means_the_same_in_every_kind() {
    let policies = Policies::built_in();
    let default = decide(&policies, "shop").policy;
    let allows = |failure, text: &str| default.allowance(FailureId(failure), &path(text)).is_some();
    for prefix in ["spec.template.spec", "spec.jobTemplate.spec.template.spec", "spec"] {
        assert!(allows("image-pull", &format!("{prefix}.containers[name=app].image")), "{prefix}");
        assert!(allows("unschedulable", &format!("{prefix}.nodeSelector[\"kubernetes.io/arch\"]")), "{prefix}");
        assert!(!allows("image-pull", &format!("{prefix}.containers[name=app].imagePullPolicy")), "{prefix}");
        assert!(!allows("oom-killed", &format!("{prefix}.containers[name=app].image")), "{prefix}");
    }
    assert!(allows("service-no-endpoints", "spec.selector.app"));
    assert!(!allows("service-no-endpoints", "spec.selector.matchLabels.app"));
    assert!(!allows("quota-exceeded", "spec.template.spec.replicas"));
}

#[test]
fn a_wide_pattern_of_the_template_is_no_licence_for_the_workload() {
    let text = policy("a", "  allow: [{failure: crash-loop, field: \"spec.template.spec.*\"}]");
    let policies = read(&[("p.yaml", &text)]).unwrap();
    let policy = decide(&policies, "shop").policy;
    let allows = |text: &str| policy.allowance(FailureId("crash-loop"), &path(text)).is_some();
    assert!(allows("spec.template.spec.serviceAccountName") && allows("spec.serviceAccountName"));
    assert!(!allows("spec.replicas") && !allows("spec.selector") && !allows("spec.template"));
}

#[test]
fn a_value_is_held_against_the_bounds() {
    let allowance = |max: Option<&str>, max_factor| Allowance {
        failure: "oom-killed".to_owned(),
        field: "spec.x".to_owned(),
        max: max.map(ToOwned::to_owned),
        max_factor,
        only: None,
    };
    let table = [
        (Some("4Gi"), Some(2.0), "64Mi", "128Mi", true),
        (Some("4Gi"), Some(2.0), "64Mi", "129Mi", false),
        (Some("4Gi"), Some(2.0), "3Gi", "4096Mi", true),
        (Some("4Gi"), Some(2.0), "3Gi", "5Gi", false),
        (Some("1"), None, "500m", "1000m", true),
        (Some("1"), None, "500m", "1001m", false),
        (None, Some(1.1), "10", "11", true),
        (None, Some(2.0), "0", "1", false),
        (Some("4Gi"), None, "64Mi", "lots", false),
        (None, None, "64Mi", "lots", true),
    ];
    for (max, factor, from, to, is_within) in table {
        let (from, to) = (serde_json::Value::from(from), serde_json::Value::from(to));
        let exceeded = allowance(max, factor).exceeded(Some(&from), &to);
        assert_eq!(exceeded.is_none(), is_within, "{max:?} {factor:?} {from} {to}: {exceeded:?}");
    }
    assert_eq!(
        allowance(Some("4Gi"), None).exceeded(None, &"5Gi".into()).unwrap(),
        "5Gi is more than the 4Gi that the policy allows"
    );
}

#[test]
fn quantities_compare_by_value() {
    let quantity = |text: &str| Quantity::parse(text);
    for (a, b) in
        [("1Gi", "1024Mi"), ("0.5", "500m"), ("1e3", "1k"), ("1.5Gi", "1536Mi"), ("100u", "0.1m"), ("+1", "1E0")]
    {
        assert_eq!(quantity(a), quantity(b), "{a} {b}");
    }
    assert!(quantity("128m").unwrap() < quantity("1").unwrap());
    for text in ["64MiB", "64 Mi", "", ".", "1.2.3", "-1", "Mi", "1e", "1e400", "9".repeat(60).as_str(), "1ee2", "K"] {
        assert!(quantity(text).is_none(), "{text}");
    }
}

#[test]
fn delivery_is_by_origin_and_a_models_revert_gets_the_more_careful_one() {
    let policies = Policies::built_in();
    let default = decide(&policies, "shop").policy;
    assert_eq!(default.delivery(Origin::Rule, false), Delivery::PullRequest);
    assert_eq!(default.delivery(Origin::Rule, true), Delivery::PullRequest);
    assert_eq!(default.delivery(Origin::Model, false), Delivery::Draft);
    assert_eq!(default.delivery(Origin::Model, true), Delivery::Draft);
}

#[test]
fn settings_are_read_and_checked() {
    let text = format!(
        "apiVersion: {API_VERSION}\nkind: Settings\nmetadata: {{name: settings}}\nspec:\n  model: {{provider: openai, name: m, baseUrl: \"http://o:1/v1\"}}\n  clusters: [{{name: prod}}]\n"
    );
    let policies = read(&[("s.yaml", &text)]).unwrap();
    assert_eq!(policies.settings().model.as_ref().unwrap().name, "m");
    assert_eq!(policies.settings().clusters[0].name, "prod");
    let wrong = text.replace("provider: openai", "provider: opnai").replace("baseUrl: \"http", "baseUrl: \"ftp");
    assert_eq!(
        problems(&wrong),
        [
            "5:21 `opnai` is no value of `provider` [the nearest is `openai`]",
            "5:46 `ftp://o:1/v1` is no address [it begins with https:// or http://]"
        ]
    );
}

#[test]
fn the_subjects_words_stand_in_the_schema() {
    let subject = policy_schema().pointer("/properties/spec/properties/pullRequest/properties/subject/description");
    let subject = subject.unwrap().as_str().unwrap();
    for word in PLACEHOLDERS {
        assert!(subject.contains(&format!("`{{{word}}}`")), "{word}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\PC\n]{0,200}") {
        let _ = read(&[("p.yaml", &text)]);
        let _ = Quantity::parse(&text);
        let _ = text.parse::<Duration>();
        let _ = text.parse::<Cron>();
        let _ = text.parse::<Moment>();
    }
}
