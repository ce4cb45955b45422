//! Every recording of a real cluster in `../shared/captures`: is the right failure named, on the right workload, and
//! does the diagnosis end where a person would have ended?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubecure::case::{Declined, Diagnosis, Evidence, Incident, Operation};
use kubecure::diagnose::assemble::{RawLog, assemble, wanted_logs};
use kubecure::review::policy::Policies;

fn captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

/// Detection and diagnosis of one recording.
fn work(folder: &Path) -> Vec<(Incident, Evidence, Result<Diagnosis, Declined>)> {
    let recording = kubecure::adapters::snapshot::read(&folder.join("snapshot")).unwrap();
    let snapshot = Arc::new(recording.snapshot);
    let policies = Policies::built_in();
    let mut all = Vec::new();
    for incident in kubecure::detect::detect(&snapshot) {
        let logs = wanted_logs(&incident).into_iter().filter_map(|key| {
            let read = recording.logs.read(&key).unwrap()?;
            Some(RawLog { key, text: read.text, left_out: read.left_out })
        });
        let evidence = assemble(&incident, snapshot.clone(), logs.collect());
        let decision = policies.decide(&incident.first().workload, &std::collections::BTreeMap::new());
        let diagnosis = kubecure::diagnose::diagnose(&evidence, decision.policy);
        all.push((incident, evidence, diagnosis));
    }
    all
}

#[test]
fn print_all() {
    let Some(folder) = captures() else { return };
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    names.push(folder.join("../shop"));
    names.sort();
    for path in names.iter().filter(|p| p.to_string_lossy().contains(&only)) {
        println!("##### {}", path.file_name().unwrap().to_string_lossy());
        for (incident, evidence, diagnosis) in work(path) {
            for f in &incident.findings {
                println!(
                    "  {} {} [{}]: {} (since {:?})",
                    f.failure,
                    f.workload,
                    f.container.as_deref().unwrap_or("-"),
                    f.symptom,
                    f.since.map(|t| t.to_string())
                );
            }
            println!("    shared {:?}, {} items, {} logs", incident.shared, evidence.items.len(), evidence.logs.len());
            match diagnosis {
                Ok(d) => {
                    println!("    cause: {}  [{}]", d.cause, d.confidence);
                    for g in &d.grounds {
                        println!("      {:>4} {}", g.weight, g.text);
                    }
                    for c in d.changes() {
                        match &c.operation {
                            Operation::Set { from, to } => {
                                println!("      set {} {}: {from} -> {to}", c.object, c.path)
                            }
                            other => println!("      {} {}: {other:?}", c.object, c.path),
                        }
                    }
                    println!("      cure: {:?}", d.cure);
                    println!("      quotes: {:?} notes {:?} unchecked {:?}", d.because, d.notes, d.unchecked);
                }
                Err(declined) => println!("    declined: {declined}"),
            }
        }
    }
}
