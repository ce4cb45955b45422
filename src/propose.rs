//! A diagnosis and its places in, edited files out: the located bytes and no others.

use std::collections::BTreeMap;

use crate::case::{Declined, Diagnosis, EditedFile, Incident, Proposal, SourceLocation, Sources};
use crate::locate::edit_at;
use crate::yaml::{self, Edit};

/// Edits the files at the places. Refuses whatever the YAML edit refuses.
pub fn propose(
    incident: &Incident,
    diagnosis: &Diagnosis,
    locations: &[SourceLocation],
    sources: &Sources,
) -> Result<Proposal, Declined> {
    let mut by_document: BTreeMap<(&str, usize), Vec<(&SourceLocation, Edit)>> = BTreeMap::new();
    for (change, location) in diagnosis.changes().iter().zip(locations) {
        let edits = by_document.entry((&location.file, location.document)).or_default();
        edits.push((location, edit_at(change, location)));
    }
    let mut files: BTreeMap<&str, EditedFile> = BTreeMap::new();
    for ((path, document), edits) in by_document {
        let before = &sources.files[path].text;
        let file = files.entry(path).or_insert_with(|| EditedFile {
            path: path.to_owned(),
            before: before.clone(),
            after: before.to_string(),
        });
        let (places, edits): (Vec<_>, Vec<_>) = edits.into_iter().unzip();
        file.after = yaml::edit(&file.after, document, &edits).map_err(|refused| Declined::Blocked {
            location: Some(Box::new(places[0].clone())),
            why: refused.to_string(),
        })?;
    }
    Ok(Proposal {
        incident: incident.clone(),
        diagnosis: diagnosis.clone(),
        locations: locations.to_vec(),
        files: files.into_values().collect(),
        base: sources.commit.clone(),
    })
}
