//! An issue on a forge: one for one failure of a workload, brought up to date as long as it is open.

use anyhow::{Context, Result};

use super::{Edit, HostedForge, NewIssue, Page, exists, memory, opened, unchanged, updated};
use crate::adapters::forge::{hands_off, shares};
use crate::case::{EntryKind, EntryState, HistoryEntry, Issue, Receipt};

/// How often is looked for an issue whose answer did not come.
const LOOKS: u32 = 4;

impl HostedForge {
    pub(super) fn issue(&self, request: &Issue) -> Result<Receipt> {
        let look = self.look(&mut *self.mirror(super::FRESH)?)?;
        let same = || look.issues().filter(|(_, entry)| entry.fingerprint == request.fingerprint);
        let open = |entry: &HistoryEntry| entry.state == EntryState::Open;
        // One issue for one failure of a workload: the third workload behind a dead registry joins the two.
        let joins = |entry: &HistoryEntry| {
            open(entry) && entry.failure == request.failure.0 && shares(entry, &request.workloads)
        };
        let ours = same()
            .find(|(_, entry)| open(entry))
            .or_else(|| same().max_by_key(|(_, entry)| entry.number))
            .or_else(|| look.issues().find(|(_, entry)| joins(entry)));
        let Some((page, entry)) = ours else { return self.open_issue(request) };
        if let Some(why) = hands_off(entry) {
            return Ok(exists(entry, why));
        }
        let body = memory::renewed(&page.body, &request.body);
        let is_other = entry.fingerprint != request.fingerprint && body.is_some();
        let title = Some(request.title.as_str()).filter(|title| is_other && *title != page.title);
        if body.is_none() && title.is_none() {
            return Ok(unchanged(page));
        }
        self.may_write()?;
        self.api().edit(page, &Edit { title, body: body.as_deref(), close: false })?;
        Ok(updated(page))
    }

    fn open_issue(&self, request: &Issue) -> Result<Receipt> {
        self.api().make_labels(&request.labels, &self.fence)?;
        self.may_write()?;
        let new = NewIssue { title: &request.title, body: &request.body, labels: &request.labels };
        match self.api().open_issue(&new) {
            Ok(page) => Ok(opened(&page)),
            Err(trouble) if trouble.is_unclear() => match self.opened_after_all(request)? {
                Some(page) => Ok(opened(&page)),
                None => Err(trouble).context("cannot open the issue"),
            },
            Err(trouble) => Err(trouble).context("cannot open the issue"),
        }
    }

    /// An issue of this fingerprint that is open now.
    fn opened_after_all(&self, request: &Issue) -> Result<Option<Page>> {
        for _ in 0..LOOKS {
            let found = self.api().labelled()?.into_iter().find(|page| {
                page.kind == EntryKind::Issue
                    && page.state == EntryState::Open
                    && memory::read(&page.body).is_some_and(|memory| memory.fingerprint == request.fingerprint.0)
            });
            if found.is_some() {
                return Ok(found);
            }
            std::thread::sleep(self.api().manner().first);
        }
        Ok(None)
    }
}
