//! How to reach the cluster, as kubectl finds it: `--kubeconfig`, `KUBECONFIG`, `~/.kube/config`, the pod's own
//! ServiceAccount.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::http::root;
use crate::redact::Redactor;

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// Finds the cluster, and says what named it. Reads files, and asks nobody.
pub(super) async fn find(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Config, String)> {
    let (mut config, named_by) = match read(kubeconfig)? {
        Some((found, files)) => {
            let (config, context) = chosen(found, context).await?;
            (config, format!("context {context} of {files}"))
        }
        None if context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            let config = Config::incluster().map_err(|error| {
                anyhow!(
                    "the pod's ServiceAccount cannot be used: {}\nHint: the pod needs automountServiceAccountToken",
                    root(&error)
                )
            })?;
            (config, "the pod's ServiceAccount".to_owned())
        }
        None => bail!(
            "no kubeconfig was found, so there is no cluster to look at\nHint: --kubeconfig FILE names one, KUBECONFIG and ~/.kube/config are looked at, and --snapshot DIR reads a recorded cluster"
        ),
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    // Otherwise the time that a connection idled counts as waiting for an answer.
    config.reset_reader_on_write = true;
    // Its retries go on for minutes; ours know when to stop.
    config.default_retry = false;
    Ok((config, named_by))
}

/// The files that are there, merged as kubectl merges them, and their names; `None` when there is none.
fn read(named: Option<&Path>) -> Result<Option<(Kubeconfig, String)>> {
    let paths: Vec<PathBuf> = match named {
        Some(path) if !path.exists() => {
            bail!("there is no kubeconfig at {}\nHint: --kubeconfig names an existing file", path.display())
        }
        Some(path) => vec![path.to_owned()],
        None => usual().into_iter().filter(|path| path.exists()).collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in &paths {
        let invalid = |error: &KubeconfigError| {
            // What cannot be read may hold a token: the first line says where, and nothing of it is repeated.
            let text = root(error);
            let first = text.lines().next().unwrap_or("").to_owned();
            let first = Redactor::new().redact(&first).text.into_owned();
            anyhow!(
                "{} is no kubeconfig that can be read: {first}\nHint: `kubectl config view` reads the same file",
                path.display()
            )
        };
        let next = Kubeconfig::read_from(path).map_err(|error| invalid(&error))?;
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(|error| invalid(&error))?,
            None => next,
        });
    }
    let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Ok(merged.map(|merged| (merged, files.join(" and "))))
}

/// `KUBECONFIG`, or the file in the home folder.
fn usual() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(value) => std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect(),
        // As kubectl does it: without HOME there is no home.
        None => std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect(),
    }
}

/// The context that was asked for, or the current one, with its name.
async fn chosen(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<(Config, String)> {
    let names: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let wanted = context.map(ToOwned::to_owned).or_else(|| kubeconfig.current_context.clone());
    let known = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
        bail!("kubeconfig names no current context\nHint: --context NAME chooses one; {known}");
    };
    if !names.contains(&wanted) {
        bail!("kubeconfig has no context {wanted}\nHint: --context NAME chooses one; {known}");
    }
    let options = KubeConfigOptions { context: Some(wanted.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(|| {
        format!("context {wanted} of kubeconfig cannot be used\nHint: `kubectl --context {wanted} config view --minify` shows what it says")
    })?;
    Ok((config, wanted))
}
