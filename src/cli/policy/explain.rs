//! A workload in, the policy that decides for it and what it allows out.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::files::Files;
use super::{BAD_INPUT, OK, Output, write_json, write_problems};
use crate::case::{ObjectRef, Timestamp};
use crate::cli::kind::known;
use crate::review::policy::{Decision, Duration, KNOWN_FAILURES, Policies, Policy, Window};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The workload: `deployment/web`
    #[arg(value_name = "KIND/NAME", value_parser = kind_and_name)]
    workload: (String, String),
    /// Its namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The work tree of the repository that holds the policy
    #[arg(long, value_name = "PATH", default_value = ".")]
    repo: PathBuf,
    /// A label of the workload; can be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_and_value)]
    labels: Vec<(String, String)>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

fn kind_and_name(text: &str) -> Result<(String, String), String> {
    let (kind, name) = text.split_once('/').ok_or("a kind and a name were expected: deployment/web")?;
    if name.is_empty() || name.contains('/') {
        return Err("a kind and a name were expected: deployment/web".to_owned());
    }
    match known(kind) {
        Some(kind) => Ok((kind.to_owned(), name.to_owned())),
        // A custom resource: its kind is taken as it is written.
        None if kind.starts_with(|c: char| c.is_ascii_uppercase()) => Ok((kind.to_owned(), name.to_owned())),
        None => Err(format!("{kind} is no kind that is known; write a custom one as its manifest does: Rollout")),
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label was expected: tier=backend")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &ExplainArgs, out: &mut dyn Write, now: Timestamp) -> Result<u8> {
    let files = Files::of_repository(&args.repo)?;
    let policies = match Policies::read(&files.as_policy_files()) {
        Ok(policies) => policies,
        Err(problems) => {
            match args.output {
                Output::Json => write_json(&files, &problems, out)?,
                Output::Text => write_problems(&files, &problems, out)?,
            }
            return Ok(BAD_INPUT);
        }
    };
    let (kind, name) = &args.workload;
    let workload = ObjectRef::new("", kind, Some(&args.namespace), name);
    let labels: BTreeMap<String, String> = args.labels.iter().cloned().collect();
    let decision = policies.decide(&workload, &labels);
    match args.output {
        Output::Json => writeln!(out, "{:#}", as_json(&workload, &decision, now))?,
        Output::Text => write_text(&workload, &decision, now, out)?,
    }
    Ok(OK)
}

fn write_text(workload: &ObjectRef, decision: &Decision<'_>, now: Timestamp, out: &mut dyn Write) -> Result<()> {
    let policy = decision.policy;
    match &decision.excluded {
        Some(why) => writeln!(out, "{workload}: left alone: {why}")?,
        None => writeln!(out, "{workload}: policy `{}` ({})", policy.name, decision.file)?,
    }
    writeln!(out, "\nconsidered:")?;
    for line in &decision.considered {
        writeln!(out, "  {line}")?;
    }
    if decision.excluded.is_some() {
        return Ok(());
    }
    let (deliver, limits, layer) = (&policy.deliver, &policy.limits, word(policy.layer));
    writeln!(out, "\nwindow:   {}", policy.window(now))?;
    writeln!(
        out,
        "delivery: rule {}, revert {}, model {}; below {}% confidence {}",
        deliver.rule, deliver.revert, deliver.model, deliver.min_confidence, deliver.otherwise
    )?;
    writeln!(out, "layer:    {layer}")?;
    writeln!(
        out,
        "limits:   {} open pull requests, {} per workload, {} per hour; {} other objects changed; {} questions to a model per hour",
        limits.open_pull_requests,
        limits.per_workload,
        limits.pull_requests_per_hour,
        limits.max_blast_radius,
        limits.model_calls_per_hour
    )?;
    writeln!(out, "verify:   healthy for {}; when worse {}", policy.verify.window, word(policy.verify.on_worse))?;
    writeln!(out, "settle:   {}", settle(policy))?;
    writeln!(out, "\nallowed, by failure (everything else is denied):")?;
    for failure in KNOWN_FAILURES {
        let mut allowances = policy.allowances(failure).peekable();
        if allowances.peek().is_none() {
            writeln!(out, "  {failure}: nothing")?;
            continue;
        }
        writeln!(out, "  {failure}")?;
        for allowance in allowances {
            writeln!(out, "    {allowance}")?;
        }
    }
    Ok(())
}

/// The times, each with what has it.
fn settle(policy: &Policy) -> String {
    let mut by_time: BTreeMap<SignedDuration, Vec<&str>> = BTreeMap::new();
    for (failure, time) in policy.settle.all() {
        by_time.entry(time).or_default().push(failure);
    }
    let most = by_time.values().map(Vec::len).max().unwrap_or(0);
    let (usual, others): (Vec<_>, Vec<_>) = by_time.into_iter().partition(|(_, of)| of.len() == most);
    let usual = usual.iter().map(|(time, _)| Duration(*time).to_string());
    let others = others.iter().map(|(time, of)| format!("{} for {}", Duration(*time), of.join(", ")));
    usual.chain(others).collect::<Vec<_>>().join("; ")
}

fn as_json(workload: &ObjectRef, decision: &Decision<'_>, now: Timestamp) -> Value {
    let policy = decision.policy;
    let (is_open, why, next) = match policy.window(now) {
        Window::Open => (true, None, None),
        Window::Closed { why, next } => (false, Some(why), next.map(|next| next.to_string())),
    };
    let allow: Vec<Value> = policy
        .allow
        .iter()
        .map(|a| {
            json!({"failure": a.failure, "field": a.field, "max": a.max, "maxFactor": a.max_factor, "only": a.only.map(word)})
        })
        .collect();
    let deliver = &policy.deliver;
    json!({
        "workload": {"kind": workload.kind, "namespace": workload.namespace, "name": workload.name},
        "policy": policy.name,
        "file": decision.file,
        "excluded": decision.excluded,
        "considered": decision.considered,
        "window": {"open": is_open, "why": why, "next": next},
        "deliver": {
            "minConfidence": deliver.min_confidence,
            "rule": deliver.rule.to_string(),
            "revert": deliver.revert.to_string(),
            "model": deliver.model.to_string(),
            "otherwise": deliver.otherwise.to_string(),
        },
        "layer": word(policy.layer),
        "settle": policy.settle.all().map(|(key, time)| (key, Duration(time).to_string())).collect::<BTreeMap<_, _>>(),
        "allow": allow,
    })
}

/// A choice as YAML spells it.
fn word(choice: impl std::fmt::Debug) -> String {
    let name = format!("{choice:?}");
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
