//! Every safety gate: that it refuses, and that nothing was written afterwards.
//!
//! A real case is worked to an allowed proposal, then one thing in it is made wrong.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::path::Path;

use kubecure::adapters::forge::Forge;
use kubecure::adapters::forge::local::LocalForge;
use kubecure::adapters::recorded::Recorded;
use kubecure::adapters::{folder, snapshot};
use kubecure::case::{
    Case, Change, Checks, Cure, EntryKind, EntryState, Feed, Fingerprint, History, HistoryEntry, ObjectRef, Operation,
    Quote, Request, Ruling, Timestamp,
};
use kubecure::cure::consider;
use kubecure::report::{Journal, Silent};
use kubecure::review::policy::{Policies, PolicyFile};
use kubecure::review::review;
use kubecure::settings::Terms;
use kubecure::submit::submit;
use serde_json::json;

/// A moment at which nothing is special.
fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// The case of one recording, worked to a verdict.
fn worked(capture: &str, policies: &Policies) -> Case {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/captures").join(capture);
    let files = folder::read(&recording.join("repo")).unwrap();
    let recorded = snapshot::read(&recording.join("snapshot")).unwrap();
    let incidents = kubecure::detect::detect(&recorded.snapshot);
    let sources = kubecure::locate::index("repo", None, files.files, files.skipped);
    let world = Recorded::new(recorded, sources, None);
    let mut silent = Silent;
    let mut journal = Journal::open(&incidents[0], &mut silent);
    let runtime = kubecure::cli::world::runtime().unwrap();
    let terms = Terms { policies, cluster: "test", now: now() };
    runtime.block_on(consider(&incidents[0], &world, terms, &mut journal)).unwrap();
    journal.close()
}

/// What is made wrong, and what else the gates look at.
struct Trial {
    case: Case,
    checks: Checks,
    history: History,
    policies: Policies,
    now: Timestamp,
}

impl Trial {
    fn of(capture: &str) -> Self {
        let policies = Policies::built_in();
        let case = worked(capture, &policies);
        assert_eq!(case.verdict.as_ref().unwrap().ruling, Ruling::Allow, "{:?}", case.verdict);
        Self { case, checks: Checks::default(), history: History::default(), policies, now: now() }
    }

    fn policy(mut self, spec: &str) -> Self {
        let text = format!(
            "apiVersion: healing.kubecure.io/v1alpha1\nkind: HealingPolicy\nmetadata: {{name: own}}\nspec:\n  match: {{namespaces: [demo]}}\n{spec}"
        );
        self.policies = Policies::read(&[PolicyFile { path: ".kubecure/policy.yaml", text: &text }]).unwrap();
        self
    }

    /// Changes the first change of the diagnosis.
    fn change(mut self, edit: impl Fn(&mut Change)) -> Self {
        for diagnosis in self.case.diagnosis.iter_mut().chain(self.case.proposal.as_mut().map(|p| &mut p.diagnosis)) {
            match &mut diagnosis.cure {
                Cure::Repair { changes, .. } | Cure::Revert { changes, .. } => edit(&mut changes[0]),
                Cure::Person(_) => panic!("no change"),
            }
        }
        self
    }

    /// Reviews, submits and publishes; the gate must object with this ruling, and no branch may come to exist.
    fn refused_by(mut self, gate: &str, ruling: Ruling) {
        let evidence = self.case.evidence.clone().unwrap();
        let proposal = self.case.proposal.clone().unwrap();
        let workload = &self.case.incident.first().workload;
        let decision = self.policies.decide(workload, &std::collections::BTreeMap::new());
        let verdict = review(&proposal, &evidence, &self.checks, decision.policy, &self.history, self.now);
        let objection = verdict.reasons.iter().find(|reason| reason.gate == gate);
        let objection = objection.unwrap_or_else(|| panic!("{gate} does not object, but {:?}", verdict.reasons));
        assert_eq!(objection.ruling, ruling, "{objection:?}");
        assert!(verdict.ruling >= ruling);
        self.case.verdict = Some(verdict);

        let request = submit(&self.case, Terms { policies: &self.policies, cluster: "test", now: self.now });
        assert!(!matches!(request, Request::PullRequest(_)), "{gate} objects, and a pull request is made all the same");
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("a.yaml"), "a: 1\n").unwrap();
        let forge = LocalForge::open(&folder.path().join("forge"), Some(&source), self.now).unwrap();
        forge.publish(&request).unwrap();
        let repo = git2::Repository::open_bare(folder.path().join("forge/repo.git")).unwrap();
        assert_eq!(repo.branches(None).unwrap().count(), 1, "{gate}: a branch besides main");
        assert!(!folder.path().join("forge/pulls/1.md").exists());
    }
}

fn path(text: &str) -> kubecure::yaml::FieldPath {
    text.parse().unwrap()
}

#[test]
fn an_invented_quote_is_refused() {
    let mut trial = Trial::of("oomkilled");
    trial.case.proposal.as_mut().unwrap().diagnosis.because = vec![Quote { item: 0, text: "the limit is 1Gi".into() }];
    trial.refused_by("quote", Ruling::Deny);
}

#[test]
fn no_quote_at_all_is_refused() {
    let mut trial = Trial::of("oomkilled");
    trial.case.proposal.as_mut().unwrap().diagnosis.because.clear();
    trial.refused_by("quote", Ruling::Deny);
}

#[test]
fn a_category_that_the_status_does_not_say_is_refused() {
    let mut trial = Trial::of("oomkilled");
    for item in &mut trial.case.evidence.as_mut().unwrap().items {
        item.text = item.text.replace("OOMKilled", "Error");
    }
    trial.case.proposal.as_mut().unwrap().diagnosis.because = vec![Quote { item: 0, text: "reason=Error".into() }];
    trial.refused_by("category", Ruling::Deny);
}

#[test]
fn a_field_that_policy_does_not_allow_is_refused() {
    Trial::of("oomkilled").policy("  allow: []\n").refused_by("policy", Ruling::Deny);
    let other =
        Trial::of("oomkilled").change(|change| change.path = path("spec.template.spec.containers[name=app].image"));
    other.refused_by("policy", Ruling::Deny);
}

#[test]
fn a_value_beyond_policys_bounds_is_refused() {
    let beyond = |value: &'static str| {
        Trial::of("oomkilled")
            .change(move |change| change.operation = Operation::Set { from: json!("32Mi"), to: json!(value) })
    };
    beyond("65Mi").refused_by("policy", Ruling::Deny);
    beyond("8Gi").refused_by("policy", Ruling::Deny);
    beyond("lots").refused_by("value", Ruling::Deny);
    beyond("32Mi").refused_by("value", Ruling::Deny);
}

#[test]
fn another_repository_or_an_invented_tag_is_refused() {
    let image = |to: &'static str| {
        Trial::of("image-typo").change(move |change| {
            change.operation = Operation::Set { from: json!("localhost:5000/shop/web:v1.43"), to: json!(to) };
        })
    };
    image("evil.example/shop/web:v1.4.2").refused_by("value", Ruling::Deny);
    // A repair, not a revert, has no history to take a tag from.
    let mut invented = image("localhost:5000/shop/web:v1.4.3");
    let proposal = invented.case.proposal.as_mut().unwrap();
    let changes = proposal.diagnosis.changes().to_vec();
    proposal.diagnosis.cure = Cure::Repair { changes, help: "x".into(), hold: None };
    invented.refused_by("value", Ruling::Deny);
}

#[test]
fn protected_files_kinds_and_fields_are_refused() {
    for file in
        [".kubecure/policy.yaml", ".github/workflows/ci.yaml", ".gitlab-ci.yml", "a/../.git/config", "Jenkinsfile"]
    {
        let mut trial = Trial::of("oomkilled");
        trial.case.proposal.as_mut().unwrap().files[0].path = file.into();
        trial.refused_by("protected-path", Ruling::Deny);
    }
    for (group, kind) in
        [("", "Secret"), ("rbac.authorization.k8s.io/v1", "ClusterRole"), ("networking.k8s.io/v1", "NetworkPolicy")]
    {
        let trial =
            Trial::of("oomkilled").change(|change| change.object = ObjectRef::new(group, kind, Some("demo"), "x"));
        trial.refused_by("protected-path", Ruling::Deny);
    }
    let host =
        Trial::of("oomkilled").change(|change| change.path = path("spec.template.spec.volumes[0].hostPath.path"));
    host.refused_by("protected-path", Ruling::Deny);
    let mut sops = Trial::of("oomkilled");
    sops.case.proposal.as_mut().unwrap().files[0].before = "sops:\n  mac: x\n".into();
    sops.refused_by("protected-path", Ruling::Deny);
}

#[test]
fn a_looser_security_context_is_refused_and_a_tighter_one_held() {
    let context = |field: &'static str, value: serde_json::Value| {
        Trial::of("oomkilled").change(move |change| {
            change.path = path(&format!("spec.template.spec.containers[name=app].securityContext.{field}"));
            change.operation = Operation::Add { value: value.clone() };
        })
    };
    context("privileged", json!(true)).refused_by("loosened", Ruling::Deny);
    context("runAsNonRoot", json!(false)).refused_by("loosened", Ruling::Deny);
    context("runAsUser", json!(0)).refused_by("loosened", Ruling::Deny);
    context("capabilities", json!({"add": ["SYS_ADMIN"]})).refused_by("loosened", Ruling::Deny);
    context("runAsNonRoot", json!(true)).refused_by("loosened", Ruling::Hold);
    let removed = Trial::of("oomkilled").change(|change| {
        change.path = path("spec.template.spec.containers[name=app].securityContext.readOnlyRootFilesystem");
        change.operation = Operation::Remove { from: json!(true) };
    });
    removed.refused_by("loosened", Ruling::Deny);
}

#[test]
fn two_objects_or_many_lines_are_refused() {
    let two = Trial::of("oomkilled").change(|change| change.object.name = "another".into());
    two.refused_by("size", Ruling::Deny);
    let mut many = Trial::of("oomkilled");
    let file = &mut many.case.proposal.as_mut().unwrap().files[0];
    file.after.push_str(&"# more\n".repeat(20));
    many.refused_by("size", Ruling::Hold);
}

#[test]
fn anything_but_the_intended_fields_is_refused() {
    for (old, new) in [("replicas: 1", "replicas: 2"), ("kind: Deployment", "kind: Deployment\n---\nkind: Pod")] {
        let mut trial = Trial::of("oomkilled");
        let file = &mut trial.case.proposal.as_mut().unwrap().files[0];
        file.after = file.after.replacen(old, new, 1);
        trial.refused_by("rendered", Ruling::Deny);
    }
    let mut unreadable = Trial::of("oomkilled");
    unreadable.case.proposal.as_mut().unwrap().files[0].after.push_str("\n{\n");
    unreadable.refused_by("rendered", Ruling::Deny);
}

/// Something else that an edit changes.
fn feed(name: &str) -> Feed {
    Feed {
        root: "apps/all/kustomization.yaml".into(),
        object: ObjectRef::new("apps/v1", "Deployment", Some("other"), name),
        field: path("spec.replicas"),
    }
}

#[test]
fn an_edit_that_changes_more_objects_than_policy_allows_is_refused() {
    let feeding = |policy: Option<&str>, names: &[&str]| {
        let trial = Trial::of("oomkilled");
        let mut trial = if let Some(policy) = policy { trial.policy(policy) } else { trial };
        let place = &mut trial.case.proposal.as_mut().unwrap().locations[0];
        place.also.extend(names.iter().map(|name| feed(name)));
        trial
    };
    feeding(None, &["one"]).refused_by("blast-radius", Ruling::Deny);
    let one = "  limits: {maxBlastRadius: 1}\n";
    feeding(Some(one), &["one", "two"]).refused_by("blast-radius", Ruling::Deny);
    // Two fields of one object are one object.
    let trial = feeding(Some(one), &["one", "one"]);
    let (case, workload) = (&trial.case, &trial.case.incident.first().workload);
    let decision = trial.policies.decide(workload, &std::collections::BTreeMap::new());
    let (proposal, evidence) = (case.proposal.as_ref().unwrap(), case.evidence.as_ref().unwrap());
    let verdict = review(proposal, evidence, &trial.checks, decision.policy, &trial.history, trial.now);
    assert!(verdict.reasons.iter().all(|reason| reason.gate != "blast-radius"), "{:?}", verdict.reasons);
}

#[test]
fn a_tag_without_its_digest_is_refused() {
    let digest = |to: &'static str| {
        Trial::of("image-typo").change(move |change| {
            change.operation = Operation::Set { from: json!("localhost:5000/shop/web:v1@sha256:00"), to: json!(to) };
        })
    };
    digest("localhost:5000/shop/web:v2@sha256:00").refused_by("value", Ruling::Deny);
}

#[test]
fn what_the_outside_finds_wrong_is_refused() {
    let mut trial = Trial::of("oomkilled");
    trial.checks.failed.push("not valid against the schema of the API server".into());
    trial.refused_by("check", Ruling::Deny);
}

#[test]
fn too_little_confidence_is_held() {
    Trial::of("oomkilled").policy("  deliver: {minConfidence: 99}\n").refused_by("confidence", Ruling::Hold);
}

#[test]
fn what_a_rule_holds_is_held() {
    let mut trial = Trial::of("oomkilled");
    let proposal = trial.case.proposal.as_mut().unwrap();
    if let Cure::Repair { hold, .. } = &mut proposal.diagnosis.cure {
        *hold = Some("a person decides".into());
    }
    trial.refused_by("judgement", Ruling::Hold);
}

fn entry(state: EntryState, workload: &str) -> HistoryEntry {
    HistoryEntry {
        kind: EntryKind::PullRequest,
        state,
        number: 7,
        fingerprint: Fingerprint("0123456789abcdef".into()),
        failure: "oom-killed".into(),
        workloads: vec![workload.into()],
        branch: None,
        opened: Some("2026-11-24T11:50:00Z".parse().unwrap()),
        foreign_commit: None,
        link: "pulls/7.md".into(),
    }
}

#[test]
fn merged_and_still_failing_is_never_a_loop() {
    let mut trial = Trial::of("oomkilled");
    trial.history.entries.push(entry(EntryState::Merged, "Deployment demo/oomkilled"));
    trial.refused_by("repeated", Ruling::Hold);
}

#[test]
fn limits_of_policy_are_counted_in_the_forge() {
    for spec in ["  limits: {openPullRequests: 1}\n", "  limits: {pullRequestsPerHour: 1}\n"] {
        let mut trial = Trial::of("oomkilled").policy(spec);
        trial.history.entries.push(entry(EntryState::Open, "Deployment demo/other"));
        trial.refused_by("limits", Ruling::Deny);
    }
}

#[test]
fn outside_of_its_windows_nothing_is_opened() {
    let closed = "  schedule: {windows: [{cron: \"0 9 * * SAT\", duration: 1h, timezone: UTC}]}\n";
    Trial::of("oomkilled").policy(closed).refused_by("schedule", Ruling::Deny);
}

#[test]
fn an_instruction_in_the_evidence_ends_the_case_before_any_rule() {
    let case = worked("log-with-instruction", &Policies::built_in());
    assert!(case.proposal.is_none() && case.diagnosis.is_none());
    assert_eq!(case.declined.unwrap().code(), "injection-suspected");
}
