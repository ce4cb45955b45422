//! The rules of the house that the compiler does not keep. `ls src` must go on to tell the story.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is the edge: it reads and writes files, and a failed unwrap is a failed test"
)]

use std::path::{Path, PathBuf};

use kubecure::adapters::cluster::KINDS;
use kubecure::failures::ALL;
use kubecure::review::policy::KNOWN_FAILURES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Code without comments and without its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Files that only tests compile: they build their world through the adapters.
fn is_test_only(name: &str) -> bool {
    ["src/testing.rs", "src/failures/trial.rs"].contains(&name) || name.ends_with("/tests.rs")
}

/// Files where I/O is at home.
fn is_edge(name: &str) -> bool {
    is_test_only(name) || ["src/adapters", "src/cli", "src/main.rs"].iter().any(|edge| name.starts_with(edge))
}

#[test]
fn the_core_does_no_io() {
    let banned = [
        "std::fs",
        "std::process",
        "std::env",
        "std::net",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "tokio",
        "reqwest",
        "kube::",
        "git2",
        "octocrab",
    ];
    // The bar draws itself on standard error while a stage waits: it is told, and never asked.
    let may_draw = ["src/report/progress.rs"];
    for path in files(&root().join("src"), "rs").iter().filter(|p| !is_edge(&name(p))) {
        let code = code(path);
        for word in banned {
            assert!(!code.contains(word), "{} says `{word}`, which belongs to adapters or cli", name(path));
        }
        let asynchronous = ["src/controller.rs", "src/cure.rs", "src/world.rs"].contains(&name(path).as_str());
        assert!(
            asynchronous || !(code.contains("async ") || code.contains(".await")),
            "{} is asynchronous",
            name(path)
        );
        assert!(may_draw.contains(&name(path).as_str()) || !code.contains("indicatif"), "{} draws", name(path));
    }
}

#[test]
fn arrows_run_one_way() {
    for path in files(&root().join("src"), "rs") {
        let name = name(&path);
        let code = code(&path);
        if !is_edge(&name) {
            assert!(!code.contains("crate::adapters"), "{name} names adapters: stages are given their data");
            assert!(!code.contains("crate::cli"), "{name} names the command line");
        }
        if name.starts_with("src/yaml") {
            assert!(!code.contains("crate::case"), "{name}: YAML knows nothing of cases");
        }
        if name.starts_with("src/case") {
            for stage in ["detect", "diagnose", "locate", "propose", "review", "submit"] {
                assert!(
                    !code.contains(&format!("crate::{stage}")),
                    "{name} names the stage {stage}: nouns decide nothing"
                );
            }
            assert!(
                !code.contains("Serialize,") && !code.contains("derive(Serialize"),
                "{name}: no noun is written to a wire"
            );
        }
    }
}

#[test]
fn every_line_that_waits_in_cure_touches_the_world() {
    let text = code(&root().join("src/cure.rs"));
    for line in text.lines().filter(|line| line.contains(".await")) {
        // By itself, or through the function of this file that does.
        let touches = ["world.", "consider(", "judge(", "deliver("].iter().any(|word| line.contains(word));
        assert!(touches, "this line of cure.rs waits for something else than the world: {line}");
    }
}

#[test]
fn every_failure_has_its_page_and_stands_in_the_catalogue() {
    let folder = root().join("src/failures");
    let stems = |extension| -> Vec<String> {
        // What a failure needs besides its rule stands in a folder of its name.
        let own = files(&folder, extension).into_iter().filter(|p| p.parent() == Some(&*folder));
        let shipped = own.filter(|p| !is_test_only(&name(p)));
        shipped.map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let (code, pages) = (stems("rs"), stems("md"));
    assert_eq!(code, pages, "a failure is two files side by side");
    let mut listed: Vec<String> = ALL.iter().map(|f| f.id().0.replace('-', "_")).collect();
    listed.sort();
    assert_eq!(code, listed, "a failure stands in ALL");
    for failure in ALL {
        assert!(KNOWN_FAILURES.contains(&failure.id().0), "policy does not know {}", failure.id());
    }
}

/// Documents of deploy/rbac.yaml of one kind.
fn rbac(kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(root().join("deploy/rbac.yaml")).unwrap();
    let all = kubecure::yaml::documents(&text).unwrap();
    all.iter().map(kubecure::yaml::Document::value).filter(|value| value["kind"] == kind).collect()
}

#[test]
fn the_rights_are_to_read_what_is_read_and_nothing_more() {
    let words = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let roles = rbac("ClusterRole");
    assert_eq!(roles.len(), 1, "one ClusterRole");
    let mut granted: Vec<(String, String)> = Vec::new();
    for rule in roles[0]["rules"].as_array().unwrap() {
        assert_eq!(rule.as_object().unwrap().len(), 3, "{rule}");
        for (group, resource) in words(&rule["apiGroups"])
            .iter()
            .flat_map(|group| words(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)))
        {
            assert!(!resource.contains("secret") && !resource.contains('*') && !group.contains('*'), "{resource}");
            let verbs: &[&str] = if resource == "pods/log" { &["get"] } else { &["get", "list", "watch"] };
            assert_eq!(words(&rule["verbs"]), verbs, "{resource}");
            granted.push((group, resource));
        }
    }
    let mut read: Vec<(String, String)> =
        KINDS.iter().map(|kind| (kind.group.to_owned(), kind.resource.to_owned())).collect();
    read.push((String::new(), "pods/log".to_owned()));
    granted.sort();
    read.sort();
    assert_eq!(granted, read, "deploy/rbac.yaml and adapters/cluster/kinds.rs name the same kinds");
    let binding = &rbac("ClusterRoleBinding")[0];
    assert_eq!(binding["roleRef"]["name"], roles[0]["metadata"]["name"]);
    let account = &rbac("ServiceAccount")[0];
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], account["metadata"]["namespace"]);
}

#[test]
fn the_only_right_to_write_is_to_one_lease_in_its_own_namespace() {
    let roles = rbac("Role");
    assert_eq!(roles.len(), 1);
    let account = &rbac("ServiceAccount")[0]["metadata"];
    assert_eq!(roles[0]["metadata"]["namespace"], account["namespace"]);
    let lease = |verbs: &[&str]| serde_json::json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs});
    let mut named = lease(&["get", "update"]);
    named["resourceNames"] = serde_json::json!(["kubecure"]);
    assert_eq!(roles[0]["rules"], serde_json::json!([lease(&["create"]), named]));
    let binding = &rbac("RoleBinding")[0];
    assert_eq!(binding["roleRef"]["name"], roles[0]["metadata"]["name"]);
    assert_eq!(binding["subjects"], rbac("ClusterRoleBinding")[0]["subjects"]);
    assert_eq!(binding["metadata"]["namespace"], account["namespace"]);
}

/// Every object of deploy/, with the name of its file.
fn deployed() -> Vec<(String, serde_json::Value)> {
    let mut all = Vec::new();
    for path in files(&root().join("deploy"), "yaml") {
        let text = std::fs::read_to_string(&path).unwrap();
        let documents = kubecure::yaml::documents(&text).unwrap_or_else(|error| panic!("{}: {error}", name(&path)));
        all.extend(documents.iter().map(|document| (name(&path), document.value())).filter(|(_, v)| !v.is_null()));
    }
    all
}

/// The pod that an object makes, if it makes any.
fn pod_of(object: &serde_json::Value) -> Option<&serde_json::Value> {
    ["/spec/jobTemplate/spec/template/spec", "/spec/template/spec"].iter().find_map(|at| object.pointer(at))
}

#[test]
fn what_is_deployed_has_no_rights_on_its_node() {
    let mut pods = 0;
    for (file, object) in deployed() {
        assert!(object["apiVersion"].is_string() && object["kind"].is_string(), "{file}");
        let kind = object["kind"].as_str().unwrap();
        assert!(!["Secret", "Pod"].contains(&kind), "{file}: {kind}");
        let is_role = kind.contains("Role") || kind == "ServiceAccount";
        assert!(!is_role || file == "deploy/rbac.yaml", "{file}: rights stand in rbac.yaml, which is tested");
        let Some(pod) = pod_of(&object) else { continue };
        pods += 1;
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
        assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0, "{file}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{file}");
        assert_eq!(pod["serviceAccountName"], rbac("ServiceAccount")[0]["metadata"]["name"], "{file}");
        for of_host in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[of_host].is_null(), "{file}: {of_host}");
        }
        for volume in pod["volumes"].as_array().unwrap() {
            assert!(volume["hostPath"].is_null(), "{file}: {volume}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let own = &container["securityContext"];
            assert_eq!(own["capabilities"], serde_json::json!({"drop": ["ALL"]}), "{file}");
            assert_eq!(
                (&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"]),
                (&false.into(), &true.into())
            );
            assert!(own["privileged"].is_null() && own["runAsUser"].is_null(), "{file}");
            for of in ["cpu", "memory"] {
                assert!(container["resources"]["requests"][of].is_string(), "{file}: no requests");
            }
            assert!(container["resources"]["limits"]["memory"].is_string(), "{file}: no limit");
            let (_, tag) = container["image"].as_str().unwrap().rsplit_once(':').expect("an image has a tag");
            assert!(tag != "latest" && !tag.contains('/'), "{file}: {}", container["image"]);
            let words = container["args"].as_array().unwrap();
            let words = words.iter().map(|word| word.as_str().unwrap());
            let parsed = <kubecure::cli::Cli as clap::Parser>::try_parse_from(["kubecure"].into_iter().chain(words));
            assert!(parsed.is_ok(), "{file}: {}", parsed.unwrap_err());
        }
    }
    assert!(pods > 0);
}

/// The files of a folder of deploy/, and its kustomization.
fn kustomized(folder: &Path) -> (Vec<String>, serde_json::Value) {
    let mut there = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") && !path.ends_with("kustomization.yaml") {
            there.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    there.sort();
    let text = std::fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
    (there, kubecure::yaml::documents(&text).unwrap()[0].value())
}

#[test]
fn everything_in_deploy_is_applied_by_a_kustomization() {
    for (folder, kind) in
        [("deploy", "Kustomization"), ("deploy/cronjob", "Kustomization"), ("deploy/monitoring", "Component")]
    {
        let (there, kustomization) = kustomized(&root().join(folder));
        assert_eq!(kustomization["kind"], kind, "{folder}");
        let listed = kustomization["resources"].as_array().unwrap();
        let mut listed: Vec<&str> = listed.iter().map(|file| file.as_str().unwrap()).collect();
        listed.sort_unstable();
        assert_eq!(listed, there, "{folder}");
    }
}

#[test]
fn what_selects_the_pods_of_deploy_selects_them_and_their_port_is_the_one_that_listens() {
    let all = deployed();
    let of = |kind: &str| &all.iter().find(|(_, object)| object["kind"] == kind).unwrap().1;
    let fits = |selector: &serde_json::Value, labels: &serde_json::Value| {
        let selector = selector.as_object().unwrap();
        !selector.is_empty() && selector.iter().all(|(label, value)| &labels[label] == value)
    };
    let policy = &of("NetworkPolicy")["spec"];
    for (file, object) in all.iter().filter(|(_, object)| pod_of(object).is_some()) {
        let template = object.pointer("/spec/jobTemplate/spec/template").unwrap_or(&object["spec"]["template"]);
        let labels = &template["metadata"]["labels"];
        assert!(fits(&policy["podSelector"]["matchLabels"], labels), "{file}: the NetworkPolicy passes it by");
        let is_controller = object["kind"] == "Deployment";
        for selector in
            [&of("Service")["spec"]["selector"], &of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
        {
            assert_eq!(fits(selector, labels), is_controller, "{file}: {selector}");
        }
    }
    let (deployment, service) = (&of("Deployment")["spec"], &of("Service"));
    assert!(fits(&deployment["selector"]["matchLabels"], &deployment["template"]["metadata"]["labels"]));
    assert!(fits(&of("ServiceMonitor")["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let container = &pod_of(of("Deployment")).unwrap()["containers"][0];
    let port = &container["ports"][0];
    let listen =
        container["args"].as_array().unwrap().iter().any(|word| *word == format!("0.0.0.0:{}", port["containerPort"]));
    assert!(listen, "it listens on the port of the container");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    assert_eq!(of("ServiceMonitor")["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(policy["ingress"][0]["ports"][0]["port"], port["containerPort"]);
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"), ("startupProbe", "/healthz")] {
        assert_eq!(
            (&container[probe]["httpGet"]["path"], &container[probe]["httpGet"]["port"]),
            (&path.into(), &port["name"])
        );
    }
}

#[test]
fn the_image_is_built_from_a_pinned_base_and_runs_as_nobody() {
    let text = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let words = |start: &str| -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix(start)?.split_whitespace().next()).collect()
    };
    let bases = words("FROM ");
    assert_eq!(bases.last(), Some(&"scratch"));
    for base in &bases[..bases.len() - 1] {
        let tag = base.split_once(':').map_or("", |(_, tag)| tag);
        let version: Vec<&str> = tag.split('-').next().unwrap().split('.').collect();
        assert!(version.len() == 3 && version.iter().all(|part| part.parse::<u32>().is_ok()), "{base} moves");
    }
    let users = words("USER ");
    assert!(users.last().unwrap().split(':').all(|id| id.parse::<u32>().unwrap() > 0), "{users:?}");
}

#[test]
fn nothing_names_a_path_of_a_machine_or_is_left_to_do() {
    let machine = ["/ho", "/ro", "/Us"].map(|start| match start {
        "/ho" => "/home/",
        "/ro" => "/root/",
        _ => "/Users/",
    });
    let undone = [["to", "do!("].concat(), ["unimplem", "ented!("].concat(), ["FIX", "ME"].concat()];
    for folder in ["src", "policies", "example-gitops-repo", "deploy"] {
        for extension in ["rs", "md", "yaml", "toml"] {
            for path in files(&root().join(folder), extension) {
                let text = std::fs::read_to_string(&path).unwrap();
                for word in machine.iter().copied().chain(undone.iter().map(String::as_str)) {
                    assert!(!text.contains(word), "{} says `{word}`", name(&path));
                }
            }
        }
    }
}

#[test]
fn the_top_level_is_what_the_readme_promises() {
    let allowed = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "clippy.toml",
        "deny.toml",
        "deploy",
        "example-gitops-repo",
        "policies",
        "rustfmt.toml",
        "src",
        "target",
        "terraform",
        "tests",
    ];
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name} at the top level");
    }
}
