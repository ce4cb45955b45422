//! Kubeconfig, API server, clock and rights.
#![expect(clippy::disallowed_methods, reason = "the clock of this machine is what is compared")]

use futures::{StreamExt, TryStreamExt, stream};

use super::{Check, State};
use crate::adapters::cluster::{Cluster, Greeting, KINDS, Right};
use crate::case::Timestamp;
use crate::cli::world::{ClusterArgs, bad_input, no_answer};

/// The oldest minor of Kubernetes 1 that serves every version of an API that is read: autoscaling/v2 came last.
const OLDEST: u32 = 23;
/// The newest that the tests have run on.
const NEWEST: u32 = 36;
/// Seconds that two clocks may differ by: an answer travels, and its date has no fractions.
const CLOSE: i64 = 5;
/// From here on tokens are refused as expired, or as not valid yet.
const FAR: i64 = 300;
/// Questions that are asked at the same time.
const AT_ONCE: usize = 8;

/// What KubeCure never needs, and an account that it runs as should not have.
const TOO_MUCH: &[(&str, &str, &[&str])] = &[
    ("", "pods", &["create", "update", "patch", "delete"]),
    ("apps", "deployments", &["create", "update", "patch", "delete"]),
    ("apps", "statefulsets", &["create", "update", "patch", "delete"]),
    ("apps", "daemonsets", &["create", "update", "patch", "delete"]),
    ("batch", "jobs", &["create", "update", "patch", "delete"]),
    ("batch", "cronjobs", &["create", "update", "patch", "delete"]),
    ("", "pods/exec", &["create"]),
    ("", "secrets", &["get", "list"]),
];

/// Everything about the cluster, and whether it answered at all.
pub(super) async fn checks(of: &ClusterArgs) -> (Vec<Check>, bool) {
    let cluster = match of.connect().await {
        Ok(cluster) => cluster,
        // There was nobody to ask.
        Err(error) => return (vec![Check::error("kubeconfig", error)], true),
    };
    let mut all = vec![Check::ok("kubeconfig", format!("{}: {}", cluster.named_by(), cluster.url()))];
    let before = Timestamp::now();
    match cluster.greet().await {
        Ok(Greeting::Version { version, at }) => {
            all.push(supported(&version));
            all.push(at.map_or_else(
                || Check::warn("clock", "the API server does not say what time it is", "is a proxy in between?"),
                |at| clock(before, Timestamp::now(), at),
            ));
        }
        Ok(Greeting::Refused(why)) => {
            let next = "`kubectl auth whoami` shows whether the credentials count";
            let error = crate::cli::output::CliError::usage(format!("{}: {why}", cluster.url())).hint(next);
            all.push(Check::error("api server", error));
            return (all, true);
        }
        Err(error) => {
            all.push(Check::error("api server", no_answer(error)));
            return (all, false);
        }
    }
    let within: Vec<Option<String>> = match of.scope(&cluster).namespaces {
        Some(names) => names.into_iter().map(Some).collect(),
        None => vec![None],
    };
    for namespace in within {
        let checks = rights(&cluster, namespace.as_deref()).await;
        all.extend(checks.unwrap_or_else(|error| vec![Check::error("rights", bad_input(error))]));
    }
    (all, true)
}

/// `v1.36.3`, `v1.29.6-gke.1038001`
fn supported(version: &str) -> Check {
    let range = format!("1.{OLDEST} to 1.{NEWEST} are supported");
    let mut parts = version.trim_start_matches('v').split('.');
    let major: Option<u32> = parts.next().and_then(|part| part.parse().ok());
    let minor: Option<u32> =
        parts.next().and_then(|part| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    match (major, minor) {
        (Some(1), Some(minor)) if minor < OLDEST => Check::fail(
            "api server",
            format!("{version} answers, but does not serve all that is read; {range}"),
            "upgrade the cluster",
        ),
        (Some(1), Some(minor)) if minor <= NEWEST => {
            Check::ok("api server", format!("Kubernetes {version} answers; {range}"))
        }
        _ => Check::warn(
            "api server",
            format!("Kubernetes {version} answers, on which KubeCure was not tried; {range}"),
            "look whether `kubecure scan` finds what it should",
        ),
    }
}

/// The clock of the API server against this machine's, before and after the question.
fn clock(before: Timestamp, after: Timestamp, theirs: Timestamp) -> Check {
    let theirs = theirs.as_second();
    // Its second began some time between the two, if the clocks are the same.
    let ahead = (before.as_second() - theirs - 1).max(0);
    let behind = (theirs - after.as_second()).max(0);
    let (seconds, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let text = format!("this machine is {seconds} s {word} the API server");
    let next = "synchronize both clocks (NTP): change windows of the policy go by this machine's";
    match seconds {
        0..=CLOSE => Check::ok("clock", "this machine and the API server agree"),
        _ if seconds < FAR => Check::warn("clock", text, next),
        _ => Check::fail("clock", text, next),
    }
}

/// What is missing, and what is too much.
async fn rights(cluster: &Cluster, namespace: Option<&str>) -> anyhow::Result<Vec<Check>> {
    let mut wanted = Vec::new();
    for kind in KINDS {
        let within = namespace.filter(|_| kind.is_namespaced).map(ToOwned::to_owned);
        wanted.extend(["get", "list", "watch"].map(|verb| Right {
            verb,
            group: kind.group,
            resource: kind.resource,
            namespace: within.clone(),
        }));
    }
    let within = namespace.map(ToOwned::to_owned);
    wanted.push(Right { verb: "get", group: "", resource: "pods/log", namespace: within.clone() });
    let unwanted = TOO_MUCH.iter().flat_map(|(group, resource, verbs)| {
        let within = within.clone();
        verbs.iter().map(move |verb| Right { verb, group, resource, namespace: within.clone() })
    });
    let missing = those(cluster, wanted, false).await?;
    let excess = those(cluster, unwanted.collect(), true).await?;
    Ok(vec![missing_check(&missing, namespace), excess_check(&excess)])
}

/// Those of the rights that the account has, or has not.
async fn those(cluster: &Cluster, rights: Vec<Right>, has: bool) -> anyhow::Result<Vec<Right>> {
    let asked = stream::iter(rights).map(|right| async { cluster.may(&right).await.map(|may| (right, may)) });
    let answers: Vec<(Right, bool)> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().filter(|(_, may)| *may == has).map(|(right, _)| right).collect())
}

fn missing_check(missing: &[Right], namespace: Option<&str>) -> Check {
    let within = namespace.map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
    if missing.is_empty() {
        let text = format!("may get, list and watch all {} kinds that are read, and logs, in {within}", KINDS.len());
        return Check::ok("rights", text);
    }
    // What a namespace is asked for can be seen without what is in none.
    let is_in_one = |right: &Right| {
        namespace.is_none() || KINDS.iter().all(|kind| kind.resource != right.resource || kind.is_namespaced)
    };
    let is_needed = |right: &Right| right.verb == "list" || right.resource == "pods/log";
    let rules = rules(missing);
    let said: Vec<String> =
        rules.iter().map(|rule| format!("{} {}", rule.verbs.join("/"), rule.resources.join(", "))).collect();
    let text = format!("in {within} the account may not {}", said.join("; "));
    let mut next =
        vec!["kubectl apply -f deploy/rbac.yaml, and use its account; or add to the account's role:".to_owned()];
    next.extend(rules.iter().flat_map(Rule::yaml));
    if missing.iter().any(|right| is_needed(right) && is_in_one(right)) {
        let text = format!("{text}; what that would show stays unseen");
        return Check { about: "rights", state: State::Fail, text, next };
    }
    Check { about: "rights", state: State::Warn, text: format!("{text}; `scan` works without, and says less"), next }
}

fn excess_check(excess: &[Right]) -> Check {
    if excess.is_empty() {
        return Check::ok("least rights", "may not change workloads, run commands in pods or read Secrets");
    }
    let mut by_verbs: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for Rule { verbs, resources, .. } in rules(excess) {
        match by_verbs.iter_mut().find(|(known, _)| *known == verbs) {
            Some((_, known)) => known.extend(resources),
            None => by_verbs.push((verbs, resources)),
        }
    }
    let said: Vec<String> =
        by_verbs.iter().map(|(verbs, resources)| format!("{} {}", verbs.join("/"), resources.join(", "))).collect();
    Check::warn(
        "least rights",
        format!("the account may also {}; KubeCure never does, and needs none of it", said.join("; ")),
        "run it as an account with the rights of deploy/rbac.yaml and no others",
    )
}

/// Resources of one group that lack the same verbs.
struct Rule {
    group: &'static str,
    resources: Vec<&'static str>,
    verbs: Vec<&'static str>,
}

impl Rule {
    /// As it stands in a role.
    fn yaml(&self) -> [String; 3] {
        let group = if self.group.is_empty() { "\"\"" } else { self.group };
        [
            format!("- apiGroups: [{group}]"),
            format!("  resources: [{}]", self.resources.join(", ")),
            format!("  verbs: [{}]", self.verbs.join(", ")),
        ]
    }
}

fn rules(rights: &[Right]) -> Vec<Rule> {
    let mut single: Vec<Rule> = Vec::new();
    for right in rights {
        match single.iter_mut().find(|rule| rule.group == right.group && rule.resources[0] == right.resource) {
            Some(rule) => rule.verbs.push(right.verb),
            None => {
                single.push(Rule { group: right.group, resources: vec![right.resource], verbs: vec![right.verb] });
            }
        }
    }
    let mut joined: Vec<Rule> = Vec::new();
    for rule in single {
        match joined.iter_mut().find(|known| known.group == rule.group && known.verbs == rule.verbs) {
            Some(known) => known.resources.extend(rule.resources),
            None => joined.push(rule),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
        Right { verb, group, resource, namespace: None }
    }

    #[test]
    fn what_is_missing_is_said_as_the_rules_to_add() {
        let missing = [
            right("list", "", "events"),
            right("watch", "", "events"),
            right("list", "", "nodes"),
            right("watch", "", "nodes"),
            right("get", "", "pods/log"),
        ];
        let check = missing_check(&missing, None);
        assert_eq!(check.state, State::Fail);
        let rules = check.next[1..].join("\n");
        assert_eq!(
            rules,
            "- apiGroups: [\"\"]\n  resources: [events, nodes]\n  verbs: [list, watch]\n\
             - apiGroups: [\"\"]\n  resources: [pods/log]\n  verbs: [get]"
        );
    }

    #[test]
    fn nodes_are_not_needed_for_one_namespace_and_watching_not_for_a_scan() {
        let state = |right, namespace| missing_check(&[right], namespace).state;
        assert_eq!(state(right("list", "", "nodes"), Some("shop")), State::Warn);
        assert_eq!(state(right("list", "", "nodes"), None), State::Fail);
        assert_eq!(state(right("watch", "", "pods"), None), State::Warn);
        assert_eq!(state(right("get", "", "pods/log"), Some("shop")), State::Fail);
        assert_eq!(missing_check(&[], None).state, State::Ok);
    }

    #[test]
    fn the_version_decides_whether_all_that_is_read_is_served() {
        for (version, state) in [
            ("v1.36.3", State::Ok),
            ("v1.29.6-gke.1038001", State::Ok),
            ("v1.23.0+k3s1", State::Ok),
            ("v1.22.17", State::Fail),
            ("v1.37.0-alpha.1", State::Warn),
            ("v2.0.0", State::Warn),
            ("devel", State::Warn),
        ] {
            assert_eq!(supported(version).state, state, "{version}");
        }
    }

    #[test]
    fn clocks_agree_when_the_answer_falls_between_question_and_reply() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        assert_eq!(clock(at(0), at(0), at(0)).state, State::Ok);
        assert_eq!(clock(at(0), at(20), at(15)).state, State::Ok, "a slow answer is no skew");
        assert_eq!(clock(at(60), at(60), at(0)).text, "this machine is 59 s ahead of the API server");
        assert_eq!(clock(at(0), at(0), at(60)).text, "this machine is 60 s behind the API server");
        assert_eq!(clock(at(0), at(0), at(60)).state, State::Warn);
        assert_eq!(clock(at(0), at(0), at(4000)).state, State::Fail);
    }
}
