//! How to reach the cluster, as kubectl finds it: `--kubeconfig`, `KUBECONFIG`, `~/.kube/config`, the pod's own
//! ServiceAccount.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use tower_http::decompression::DecompressionLayer;

use super::http::root;
use crate::redact::Redactor;

const CONNECT: Duration = Duration::from_secs(10);
pub(super) const ANSWER: Duration = Duration::from_secs(60);
/// Longer than any watch is asked to last.
pub(super) const SILENCE: Duration = Duration::from_secs(300);
/// A connection of watches is asked whether it lives so often, and is given up when nothing comes back for as long again.
/// A dead one that nobody closed is so found within half a minute: no bookmark would tell it from a quiet one.
const PING: Duration = Duration::from_secs(15);

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
    // Otherwise the time that a connection idled counts as waiting for an answer.
    config.reset_reader_on_write = true;
    // Its retries go on for minutes; ours know when to stop.
    config.default_retry = false;
    // By it an audit log tells who asked.
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("kubecure/", env!("CARGO_PKG_VERSION")))));
    Ok((config, named_by))
}

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Answers, as small as they can be sent.
    Answers,
    /// Watches, which are silent while nothing happens.
    Watches,
}

/// A client that is patient with a server, but not with a connection that is dead.
///
/// Over HTTP/2 where the server speaks it, as kubectl does; kube's own client speaks HTTP/1.1 alone, which has no pings.
/// Through a proxy it is kube's, and a dead connection of watches is noticed after five minutes.
pub(super) fn client(mut config: Config, of: Use) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        config.read_timeout = Some(if of == Use::Watches { SILENCE } else { ANSWER });
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(PING));
    tcp.set_keepalive_interval(Some(PING / 3));
    tcp.set_keepalive_retries(Some(3));
    let tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let named = config.tls_server_name.as_deref().and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let tls = match named {
        Some(name) => tls.with_server_name_resolver(FixedServerNameResolver::new(name)),
        None => tls,
    };
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .http2_keep_alive_while_idle(true)
        .build::<_, Body>(tls.enable_all_versions().wrap_connector(tcp));
    let is_small = of == Use::Answers && !config.disable_compression;
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new().gzip(is_small))
        .layer(config.extra_headers_layer()?)
        .option_layer(config.auth_layer()?)
        .map_err(tower::BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
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
