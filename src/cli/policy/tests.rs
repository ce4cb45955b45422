#![expect(clippy::disallowed_methods, reason = "tests make the folders that they check")]

use std::fs;
use std::path::Path;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    policy: PolicyArgs,
}

fn kubecure(args: &[&str]) -> (u8, String) {
    let command = Command::try_parse_from([&["policy"], args].concat()).unwrap();
    let mut out = Vec::new();
    // A Wednesday, ten in the morning.
    let now = "2026-11-25T10:00:00Z".parse().unwrap();
    let code = run(&command.policy, &mut out, now).unwrap();
    (code, String::from_utf8(out).unwrap())
}

fn repository(policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(".kubecure")).unwrap();
    fs::write(folder.path().join(".kubecure/policy.yaml"), policy).unwrap();
    fs::write(folder.path().join(".kubecure/README.md"), "# not a policy").unwrap();
    folder
}

const WRONG: &str = "\
apiVersion: healing.kubecure.io/v1alpha1
kind: HealingPolicy
metadata: {name: shop}
spec:
  match: {namespaces: [shop]}
  allow:
    - {failure: oom-killed, field: spec.x, machFactor: 2} # ä
  layer: narow
";

fn right() -> String {
    WRONG.replace("machFactor", "maxFactor").replace("narow", "narrowest")
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn problems_look_like_a_compilers() {
    let folder = repository(WRONG);
    let (code, screen) = kubecure(&["check", path(folder.path())]);
    assert_eq!(code, 2);
    let screen = screen.replace(path(folder.path()), "repo");
    insta::assert_snapshot!(screen, @r"
    error: unknown key `machFactor`
     --> repo/.kubecure/policy.yaml:7:44
      |
    7 |     - {failure: oom-killed, field: spec.x, machFactor: 2} # ä
      |                                            ^^^^^^^^^^
      |
      = help: the nearest key is `maxFactor`

    error: `narow` is no value of `layer`
     --> repo/.kubecure/policy.yaml:8:10
      |
    8 |   layer: narow
      |          ^^^^^
      |
      = help: the nearest is `narrowest`

    1 file: 2 errors. The last valid policy stays in force.
    ");
}

#[test]
fn what_is_right_passes() {
    let folder = repository(&right());
    let inside = folder.path().join(".kubecure");
    let file = inside.join("policy.yaml");
    for path_given in [folder.path(), &inside, &file] {
        let (code, screen) = kubecure(&["check", path(path_given)]);
        assert_eq!((code, screen.as_str()), (0, "1 file with 1 policy: no problems\n"));
    }
}

#[test]
fn problems_as_json_have_their_place() {
    let folder = repository(WRONG);
    let (code, json) = kubecure(&["check", "-o", "json", path(folder.path())]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code, 2);
    assert_eq!((json["problems"][0]["line"].as_u64(), json["problems"][0]["column"].as_u64()), (Some(7), Some(44)));
    assert_eq!(json["problems"][1]["hint"], "the nearest is `narrowest`");
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let command = Command::try_parse_from(["policy", "check", "no/such/folder"]).unwrap();
    let error = run(&command.policy, &mut Vec::new(), Timestamp::UNIX_EPOCH).unwrap_err().to_string();
    assert!(error.contains("is not there\nHint: "), "{error}");
}

#[test]
fn the_schema_is_json() {
    for kind in ["HealingPolicy", "Settings"] {
        let (code, schema) = kubecure(&["schema", "--kind", kind]);
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert_eq!((code, schema["additionalProperties"].as_bool()), (0, Some(false)));
        assert_eq!(schema["title"], kind);
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }
}

#[test]
fn explain_says_which_policy_decides_and_what_it_allows() {
    let folder = repository(&right());
    let repo = path(folder.path());
    let (code, screen) = kubecure(&["explain", "deploy/web", "-n", "shop", "--repo", repo]);
    assert_eq!(code, 0);
    let head = screen.split("  security-context").next().unwrap();
    insta::assert_snapshot!(head, @r"
    Deployment shop/web: policy `shop` (.kubecure/policy.yaml)

    considered:
      shop (.kubecure/policy.yaml) matches: namespace `shop`
      default (built-in default) stands behind the repository's own: namespace `*`

    window:   open
    delivery: rule pullRequest, revert pullRequest, model draft; below 80% confidence issue
    layer:    narrowest
    limits:   10 open pull requests, 1 per workload, 10 per hour; 0 other objects changed; 20 questions to a model per hour
    verify:   healthy for 10m; when worse revertPullRequest
    settle:   30s; 1m for config-missing, probe-failing, evicted, unschedulable, pvc-pending, service-no-endpoints, ingress-backend; 2m for hpa-failing; 3m for node

    allowed, by failure (everything else is denied):
      oom-killed
        spec.x, at most 2 times what it is
    ");

    let (_, screen) = kubecure(&["explain", "deploy/web", "-n", "kube-system", "--repo", repo]);
    assert!(screen.starts_with("Deployment kube-system/web: left alone: policy `default` leaves"), "{screen}");

    let (_, json) =
        kubecure(&["explain", "cronjob/report", "-n", "shop", "--repo", repo, "--label", "a=b", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["window"]["open"], true);
    assert_eq!(json["workload"]["kind"], "CronJob");
    assert_eq!(json["allow"][0]["maxFactor"], 2.0);
    assert_eq!((&json["settle"]["oom-killed"], &json["settle"]["node"]), (&"30s".into(), &"3m".into()));
}

#[test]
fn explain_refuses_a_policy_with_problems() {
    let folder = repository(WRONG);
    let (code, screen) = kubecure(&["explain", "deploy/web", "--repo", path(folder.path())]);
    assert_eq!(code, 2);
    assert!(screen.contains(".kubecure/policy.yaml:7:44"), "{screen}");
}

#[test]
fn a_workload_is_a_kind_and_a_name() {
    for wrong in ["web", "deploy/", "gadget/x", "deploy/a/b"] {
        assert!(Command::try_parse_from(["policy", "explain", wrong]).is_err(), "{wrong}");
    }
    assert!(Command::try_parse_from(["policy", "explain", "Gadget/x"]).is_ok());
}
