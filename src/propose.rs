//! A diagnosis and its places in, edited files out: the located bytes and no others.

use std::collections::BTreeMap;

use crate::case::{Change, Declined, Diagnosis, EditedFile, Incident, Operation, Proposal, SourceLocation, Sources};
use crate::yaml::{self, Action, Edit, Step};

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
        edits.push((location, edit(change, location)));
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

fn edit(change: &Change, location: &SourceLocation) -> Edit {
    let action = match &change.operation {
        // Live, but not in the file: the API server's default, or a LimitRange's. It is written for the first time.
        Operation::Set { to, .. } if location.value.is_none() => Action::Add(to.clone()),
        Operation::Set { to, .. } => Action::Set(to.clone()),
        // An item of a list goes to its end.
        Operation::Add { value } => match location.path.split_last() {
            Some((list, Step::Named { .. } | Step::Index(_))) => {
                return Edit { path: list, action: Action::Append(value.clone()) };
            }
            _ => Action::Add(value.clone()),
        },
        Operation::Remove { .. } => Action::Remove,
    };
    Edit { path: location.path.clone(), action }
}
