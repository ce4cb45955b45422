//! The edited files, read again: exactly the intended fields of the intended objects differ.

use std::collections::BTreeSet;

use super::{Matter, Objection, deny};
use crate::case::{Change, EditedFile, ObjectRef, Proposal, SourceLocation};
use crate::diagnose::near::listed;
use crate::yaml;

/// Gate 7: before, with the changes made to its values, is after. Nothing else is.
pub(super) fn rendered(matter: &Matter<'_>) -> Vec<Objection> {
    let proposal = matter.proposal;
    let changes = proposal.diagnosis.changes();
    if changes.len() != proposal.locations.len() {
        return vec![deny("a change has no place in the repository")];
    }
    let pairs: Vec<(&Change, &SourceLocation)> = changes.iter().zip(&proposal.locations).collect();
    proposal.files.iter().filter_map(|file| differs(file, &pairs).err().map(deny)).collect()
}

/// Objects besides those that are to be changed that the edits change as well.
pub(crate) fn others(proposal: &Proposal) -> BTreeSet<&ObjectRef> {
    let meant: BTreeSet<&ObjectRef> = proposal.diagnosis.changes().iter().map(|change| &change.object).collect();
    let also = proposal.locations.iter().flat_map(|place| &place.also).map(|feed| &feed.object);
    also.filter(|object| !meant.contains(object)).collect()
}

/// Gate 7, too: an edit changes no more of other objects than policy allows.
pub(super) fn radius(matter: &Matter<'_>) -> Vec<Objection> {
    let (others, most) = (others(matter.proposal), matter.policy.limits.max_blast_radius);
    if others.len() <= most as usize {
        return Vec::new();
    }
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    let names = listed(names.iter().map(String::as_str));
    let what = if others.len() == 1 { "another object".to_owned() } else { format!("{} other objects", others.len()) };
    vec![deny(format!("the line feeds {what}, and policy allows {most}: {names} would change as well"))]
}

/// What the outside found.
pub(super) fn checked(matter: &Matter<'_>) -> Vec<Objection> {
    matter.checks.failed.iter().map(|what| deny(what.clone())).collect()
}

fn differs(file: &EditedFile, pairs: &[(&Change, &SourceLocation)]) -> Result<(), String> {
    let read = |text: &str| yaml::documents(text).map_err(|error| format!("{} cannot be read: {error}", file.path));
    let (before, after) = (read(&file.before)?, read(&file.after)?);
    if before.len() != after.len() {
        return Err(format!("{} would have {} documents instead of {}", file.path, after.len(), before.len()));
    }
    for (old, new) in before.iter().zip(&after) {
        let mut expected = old.value();
        for (change, location) in pairs.iter().filter(|(_, l)| l.file == file.path && l.document == old.index) {
            let operation = location.operation(change);
            operation
                .apply(&mut expected, &location.path)
                .ok_or_else(|| format!("`{}` is not there to be changed", location.path))?;
        }
        if expected != new.value() {
            return Err(format!("{} would differ in more than the intended fields", file.path));
        }
    }
    Ok(())
}
