//! `local:DIR`: a forge in a folder. Branches in a bare repository, pull requests and issues as Markdown beside it.
//!
//! ```text
//! DIR/repo.git        the repository, or DIR is one itself
//! DIR/pulls/1.md      a pull request: front matter and body
//! DIR/issues/2.md     an issue; numbers are shared, as on GitHub
//! ```
//!
//! A person closes one by its line `state:`, and merges a pull request by merging its branch.

mod look;
mod page;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

pub use self::look::Look;
use self::page::{Front, Page, State};
use super::{Fence, Forge, hands_off, names, shares};
use crate::adapters::git::{self, Author, Landed, NewCommit, Repo};
use crate::case::{
    EntryKind, EntryState, Fingerprint, History, HistoryEntry, Issue, Merged, PullRequest, Receipt, Request, Timestamp,
};

/// A pull request or issue larger than this was not written by us.
const MAX_PAGE: u64 = 1024 * 1024;

/// A forge in a folder.
pub struct LocalForge {
    dir: PathBuf,
    /// As the user named it.
    shown: String,
    repo: Repo,
    now: Timestamp,
    fence: Fence,
}

impl LocalForge {
    /// Opens the forge of a folder.
    ///
    /// Where there is none, one is made from `source`, a folder of manifests or a work tree.
    pub fn open(dir: &Path, source: Option<&Path>, now: Timestamp) -> Result<Self> {
        match (Self::find(dir, now)?, source) {
            (Some(forge), _) => Ok(forge),
            (None, Some(source)) => Self::make(dir, source, None, now),
            (None, None) => bail!(
                "{} holds no repository, and nothing was given to make one from\nHint: --repo PATH",
                dir.display()
            ),
        }
    }

    /// The forge of a folder, if it has one. Looks, and makes nothing.
    pub fn find(dir: &Path, now: Timestamp) -> Result<Option<Self>> {
        let shown = dir.display().to_string();
        if dir.join(".git").symlink_metadata().is_ok() {
            bail!(
                "{shown} is a work tree; a folder of its own or a bare repository was expected\nHint: local:../forge"
            );
        }
        if dir.symlink_metadata().is_ok() && !dir.is_dir() {
            bail!("{shown} is a file, and a forge is a folder\nHint: local:./forge");
        }
        let bare = dir.join("repo.git");
        let repo = match git::open_bare(dir)? {
            Some(repo) => Some(repo),
            None if bare.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) => {
                bail!(
                    "{shown}/repo.git is a symlink, and everything that is written stays in {shown}\nHint: give the folder that it leads to"
                )
            }
            None => git::open_bare(&bare)?,
        };
        if repo.is_none() && bare.symlink_metadata().is_ok() {
            bail!(
                "{shown}/repo.git is there, and is no bare repository\nHint: git clone --bare makes one; or give another folder"
            );
        }
        Ok(repo.map(|repo| Self { dir: dir.to_owned(), shown, repo, now, fence: super::open() }))
    }

    /// Makes the forge of a folder, unless somebody else did meanwhile.
    pub fn make(dir: &Path, source: &Path, rev: Option<&str>, now: Timestamp) -> Result<Self> {
        let shown = dir.display();
        if let (Ok(dir), Ok(source)) = (dir.canonicalize(), source.canonicalize())
            && dir == source
        {
            bail!("{shown} is the repository itself; a folder of its own was expected\nHint: local:../forge");
        }
        // Looked at first: nothing is made when it cannot be read, and the forge may lie in the folder itself.
        let origin = git::Origin::of(source, rev)?;
        let hint = "Hint: --forge local:DIR takes any folder that can be written";
        fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {shown}\n{hint}"))?;
        let _lock = lock(dir).with_context(|| format!("cannot write in {shown}\n{hint}"))?;
        if let Some(forge) = Self::find(dir, now)? {
            return Ok(forge);
        }
        // Made aside and renamed: nobody ever sees half a repository.
        let aside = tempfile::Builder::new().prefix(".repo.git.").tempdir_in(dir)?;
        git::seed(&aside.path().join("repo.git"), &origin, now)?;
        fs::rename(aside.path().join("repo.git"), dir.join("repo.git"))
            .with_context(|| format!("cannot make the repository {shown}/repo.git"))?;
        Self::find(dir, now)?.with_context(|| format!("{shown}/repo.git is not there after it was made"))
    }

    /// The repository that the branches are in.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// One writer at a time, in this process and in others: looking and writing are one step.
    fn lock(&self) -> Result<File> {
        lock(&self.dir).with_context(|| {
            format!("cannot write in {}\nHint: --forge local:DIR takes any folder that can be written", self.shown)
        })
    }

    fn folder(&self, kind: EntryKind) -> PathBuf {
        self.dir.join(folder_name(kind))
    }

    fn link(&self, kind: EntryKind, number: u64) -> String {
        format!("{}/{}/{number}.md", self.shown, folder_name(kind))
    }

    /// Every pull request and issue. A file that cannot be read is an error: it may be the one that a person closed.
    fn pages(&self) -> Result<Vec<Page>> {
        let mut pages = Vec::new();
        let mut broken = Vec::new();
        for kind in [EntryKind::PullRequest, EntryKind::Issue] {
            for (number, at) in numbered(&self.folder(kind))? {
                match read_page(&at).and_then(|text| Page::parse(kind, number, text)) {
                    Ok(page) => pages.push(page),
                    Err(why) => broken.push(format!("{}: {why}", self.link(kind, number))),
                }
            }
        }
        if !broken.is_empty() {
            bail!(
                "cannot read {}\nHint: repair its front matter, or delete the file; nothing is published until then",
                broken.join(" and ")
            );
        }
        pages.sort_by_key(|page| page.front.number);
        Ok(pages)
    }

    /// What a page and the repository together say.
    fn entry(&self, page: &Page, landed: &BTreeMap<String, String>) -> Result<HistoryEntry> {
        let state = self.state(page, landed)?;
        let foreign_commit = match (&page.front.branch, state) {
            (Some(branch), EntryState::Open) => {
                let theirs = self.repo.commits_on(branch)?.into_iter().find(|commit| !commit.ours);
                theirs.map(|commit| format!("{} by {}", &commit.id[..8], commit.by))
            }
            _ => None,
        };
        Ok(HistoryEntry {
            kind: page.kind,
            state,
            number: page.front.number,
            fingerprint: Fingerprint(page.front.fingerprint.clone()),
            failure: page.front.failure.clone(),
            workloads: page.front.workloads.clone(),
            branch: page.front.branch.clone(),
            opened: page.front.opened,
            foreign_commit,
            link: self.link(page.kind, page.front.number),
        })
    }

    /// A branch that is on the base branch is merged, and one that was deleted is closed, whatever the page says.
    fn state(&self, page: &Page, landed: &BTreeMap<String, String>) -> Result<EntryState> {
        if page.kind == EntryKind::PullRequest && landed.contains_key(&page.front.fingerprint) {
            return Ok(EntryState::Merged);
        }
        Ok(match page.front.state {
            State::Merged => EntryState::Merged,
            State::Closed => EntryState::Closed,
            State::Open => match &page.front.branch {
                Some(branch) if self.repo.tip(branch)?.is_none() => EntryState::Closed,
                _ => EntryState::Open,
            },
        })
    }

    fn entries(&self) -> Result<Vec<(Page, HistoryEntry)>> {
        let landed = self.repo.landed()?;
        // What we closed ourselves is no word of a person, and may come again.
        let pages = self.pages()?.into_iter().filter(|page| !page.is_answered());
        pages.map(|page| self.entry(&page, &landed).map(|entry| (page, entry))).collect()
    }

    fn pull_request(&self, request: &PullRequest) -> Result<Receipt> {
        let _lock = self.lock()?;
        let entries = self.entries()?;
        let pulls = || entries.iter().filter(|(_, entry)| entry.kind == EntryKind::PullRequest);
        // Of several with one fingerprint an open one counts; otherwise what a person did last.
        let same = || pulls().filter(|(_, entry)| entry.fingerprint == request.fingerprint);
        let ours = same().find(|(_, entry)| entry.state == EntryState::Open).or_else(|| same().next_back());
        if let Some(why) = ours.and_then(|(_, entry)| hands_off(entry)) {
            return Ok(exists(ours.map(|(_, entry)| entry), why));
        }
        let other = pulls().find(|(_, entry)| {
            entry.state == EntryState::Open
                && entry.fingerprint != request.fingerprint
                && shares(entry, &request.workloads)
        });
        if let (None, Some((_, entry))) = (ours, other) {
            let about = &entry.workloads[..entry.workloads.len().min(1)];
            return Ok(exists(Some(entry), format!("#{} for {} is open; one at a time", entry.number, about.concat())));
        }
        let base = self.repo.base_branch()?;
        let change = NewCommit { branch: &request.branch, files: &request.files, message: &request.commit_message };
        let base_commit = self.repo.commit_id(Some(&format!("refs/heads/{base}")))?;
        (self.fence)()?;
        let landed = self.repo.commit_on_branch(&change, base_commit, &Author::kubecure(self.now))?;
        if let Some((page, entry)) = ours {
            return self.refresh_pull_request(page, entry, request, landed);
        }
        let front = pull_front(request, &base, landed, self.now);
        let receipt = self.open_page(EntryKind::PullRequest, front, &request.body)?;
        self.answer_issues(request, &entries, &receipt)?;
        Ok(receipt)
    }

    /// Closes the issue that was opened while less was known: the pull request is the answer to it.
    fn answer_issues(&self, by: &PullRequest, entries: &[(Page, HistoryEntry)], receipt: &Receipt) -> Result<()> {
        let Receipt::Opened { link, .. } = receipt else { return Ok(()) };
        let theirs = |entry: &HistoryEntry| {
            entry.kind == EntryKind::Issue
                && entry.state == EntryState::Open
                && entry.failure == by.failure.0
                && entry.workloads == names(&by.workloads)
        };
        for (page, entry) in entries.iter().filter(|(_, entry)| theirs(entry)) {
            self.rewrite(page, entry, &page.answered_by(link))?;
        }
        Ok(())
    }

    fn refresh_pull_request(
        &self,
        page: &Page,
        entry: &HistoryEntry,
        request: &PullRequest,
        landed: Landed,
    ) -> Result<Receipt> {
        let mut next = page.with_body(&request.body);
        let head = landed.tip().to_string();
        if page.front.head.as_ref() != Some(&head) {
            next = page::set_line(&next, "head", &head);
        }
        // A title that a person improved stays, unless the change is another one now.
        if matches!(landed, Landed::Updated(_)) {
            next = page::set_line(&next, "title", &request.title);
        }
        let outcome = self.rewrite(page, entry, &next)?;
        Ok(match (landed, outcome) {
            (Landed::Updated(_), Receipt::Exists { kind, number, link, .. }) => Receipt::Updated { kind, number, link },
            (_, receipt) => receipt,
        })
    }

    fn issue(&self, request: &Issue) -> Result<Receipt> {
        let _lock = self.lock()?;
        let entries = self.entries()?;
        let issues = || entries.iter().filter(|(_, entry)| entry.kind == EntryKind::Issue);
        let same = || issues().filter(|(_, entry)| entry.fingerprint == request.fingerprint);
        let open = |entry: &HistoryEntry| entry.state == EntryState::Open;
        // One issue for one failure of a workload: the third workload behind a dead registry joins the two.
        let joins = |entry: &HistoryEntry| {
            open(entry) && entry.failure == request.failure.0 && shares(entry, &request.workloads)
        };
        let ours = same()
            .find(|(_, entry)| open(entry))
            .or_else(|| same().next_back())
            .or_else(|| issues().find(|(_, entry)| joins(entry)));
        let Some((page, entry)) = ours else {
            return self.open_page(EntryKind::Issue, issue_front(request, self.now), &request.body);
        };
        if let Some(why) = hands_off(entry) {
            return Ok(exists(Some(entry), why));
        }
        let mut next = page.with_body(&request.body);
        if entry.fingerprint != request.fingerprint {
            next = page::set_line(&next, "title", &request.title);
            next = page::set_line(&next, "fingerprint", &request.fingerprint.0);
            next = page::set_list(&next, "workloads", &names(&request.workloads));
        }
        self.rewrite(page, entry, &next)
    }

    /// The page of an entry, as it is now.
    fn find_page(&self, of: &HistoryEntry) -> Result<Option<(Page, HistoryEntry)>> {
        let entries = self.entries()?;
        Ok(entries.into_iter().find(|(_, entry)| (entry.kind, entry.number) == (of.kind, of.number)))
    }

    /// Writes a page that changed; leaves one that did not.
    fn rewrite(&self, page: &Page, entry: &HistoryEntry, next: &str) -> Result<Receipt> {
        if next == page.text {
            return Ok(exists(Some(entry), "it is open already, and nothing has changed".to_owned()));
        }
        Page::parse(page.kind, page.front.number, next.to_owned()).map_err(|why| {
            anyhow!("{} cannot be brought up to date: {why}\nHint: repair its front matter", entry.link)
        })?;
        self.save(page.kind, page.front.number, next)?
            .persist(self.folder(page.kind).join(format!("{}.md", page.front.number)))
            .with_context(|| format!("cannot write {}", entry.link))?;
        Ok(Receipt::Updated { kind: page.kind, number: page.front.number, link: entry.link.clone() })
    }

    /// Writes a new page under the next free number.
    fn open_page(&self, kind: EntryKind, mut front: Front, body: &str) -> Result<Receipt> {
        loop {
            front.number = self.next_number()?;
            let link = self.link(kind, front.number);
            let at = self.folder(kind).join(format!("{}.md", front.number));
            let saved = self.save(kind, front.number, &Page::render(&front, body))?;
            // Never over a file that is there, even one that appeared since the look.
            match saved.persist_noclobber(at) {
                Ok(_) => return Ok(Receipt::Opened { kind, number: front.number, link }),
                Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot write {link}")),
            }
        }
    }

    fn next_number(&self) -> Result<u64> {
        let mut highest = 0;
        for kind in [EntryKind::PullRequest, EntryKind::Issue] {
            highest = numbered(&self.folder(kind))?.keys().copied().max().unwrap_or(0).max(highest);
        }
        highest.checked_add(1).ok_or_else(|| anyhow!("the numbers of {} are used up", self.shown))
    }

    /// Text in a temporary file beside its place, ready to be renamed: a reader never sees half a page.
    fn save(&self, kind: EntryKind, number: u64, text: &str) -> Result<tempfile::NamedTempFile> {
        (self.fence)()?;
        let folder = self.folder(kind);
        let link = self.link(kind, number);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder of {link}"))?;
        if folder.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            bail!(
                "{}/{} is a symlink, and everything that is written stays in {}",
                self.shown,
                folder_name(kind),
                self.shown
            );
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(&folder).with_context(|| format!("cannot write {link}"))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {link}"))?;
        file.as_file().sync_all().with_context(|| format!("cannot write {link}"))?;
        Ok(file)
    }
}

/// Waits for the lock of a folder; it is held as long as the file is open.
fn lock(dir: &Path) -> std::io::Result<File> {
    let file = File::options().create(true).append(true).open(dir.join(".kubecure.lock"))?;
    file.lock()?;
    Ok(file)
}

impl Forge for LocalForge {
    fn history(&self) -> Result<History> {
        Ok(History { entries: self.entries()?.into_iter().map(|(_, entry)| entry).collect() })
    }

    fn publish(&self, request: &Request) -> Result<Receipt> {
        match request {
            Request::PullRequest(request) => self.pull_request(request),
            Request::Issue(request) => self.issue(request),
            Request::Nothing(declined) => Ok(Receipt::Nothing { why: declined.to_string() }),
        }
    }

    fn merged(&self) -> Result<Vec<Merged>> {
        let landed = self.repo.landed()?;
        let mut found = Vec::new();
        for (page, entry) in self.entries()? {
            let Some(commit) = landed.get(&entry.fingerprint.0).filter(|_| entry.kind == EntryKind::PullRequest) else {
                continue;
            };
            let (commit, at) = (commit.clone(), self.repo.committed_at(commit)?);
            let said = page.comment().map(ToOwned::to_owned);
            found.push(Merged { entry, commit, at, body: page.text, said });
        }
        found.sort_by_key(|merged| std::cmp::Reverse((merged.at, merged.entry.number)));
        Ok(found)
    }

    fn comment(&self, on: &HistoryEntry, text: &str) -> Result<Receipt> {
        let _lock = self.lock()?;
        let Some((page, entry)) = self.find_page(on)? else { return Ok(gone(on)) };
        if page.comment() == Some(text.trim()) {
            return Ok(exists(Some(&entry), "it is said already".to_owned()));
        }
        self.rewrite(&page, &entry, &page.with_comment(text))
    }

    fn close(&self, of: &HistoryEntry, sentence: &str) -> Result<Receipt> {
        let _lock = self.lock()?;
        let Some((page, entry)) = self.find_page(of)? else { return Ok(gone(of)) };
        if entry.state != EntryState::Open {
            return Ok(exists(Some(&entry), format!("{} is not open", entry.called())));
        }
        if let Some(why) = hands_off(&entry) {
            return Ok(exists(Some(&entry), why));
        }
        let receipt = self.rewrite(&page, &entry, &page.closed_for(sentence))?;
        if let Some(branch) = &entry.branch {
            self.repo.delete_branch(branch)?;
        }
        Ok(receipt)
    }

    fn fence(&mut self, fence: Fence) {
        self.fence = fence;
    }

    fn name(&self) -> &str {
        &self.shown
    }
}

fn exists(entry: Option<&HistoryEntry>, why: String) -> Receipt {
    match entry {
        Some(entry) => Receipt::Exists { kind: entry.kind, number: entry.number, link: entry.link.clone(), why },
        None => Receipt::Nothing { why },
    }
}

fn gone(of: &HistoryEntry) -> Receipt {
    Receipt::Nothing { why: format!("{} is not there any more", of.called()) }
}

fn folder_name(kind: EntryKind) -> &'static str {
    match kind {
        // A folder always has pages, so it never has the third.
        EntryKind::PullRequest | EntryKind::Branch => "pulls",
        EntryKind::Issue => "issues",
    }
}

fn pull_front(request: &PullRequest, base: &str, landed: Landed, now: Timestamp) -> Front {
    Front {
        number: 0,
        title: request.title.clone(),
        state: State::Open,
        draft: request.draft,
        branch: Some(request.branch.clone()),
        base: Some(base.to_owned()),
        head: Some(landed.tip().to_string()),
        labels: request.labels.clone(),
        reviewers: request.reviewers.clone(),
        fingerprint: request.fingerprint.0.clone(),
        failure: request.failure.0.to_owned(),
        workloads: names(&request.workloads),
        opened: Some(now),
        answered: None,
    }
}

fn issue_front(request: &Issue, now: Timestamp) -> Front {
    Front {
        number: 0,
        title: request.title.clone(),
        state: State::Open,
        draft: false,
        branch: None,
        base: None,
        head: None,
        labels: request.labels.clone(),
        reviewers: Vec::new(),
        fingerprint: request.fingerprint.0.clone(),
        failure: request.failure.0.to_owned(),
        workloads: names(&request.workloads),
        opened: Some(now),
        answered: None,
    }
}

/// The files of a folder whose name is a number.
fn numbered(folder: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for entry in entries {
        let at = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let stem = at.file_name().and_then(|name| name.to_str()?.strip_suffix(".md"));
        // `01.md` is a file of somebody else: two names would be one number.
        let number = stem.and_then(|stem| stem.parse().ok().filter(|number: &u64| number.to_string() == stem));
        if let Some(number) = number {
            found.insert(number, at);
        }
    }
    Ok(found)
}

fn read_page(at: &Path) -> Result<String, String> {
    let meta = at.symlink_metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a file".to_owned());
    }
    if meta.len() > MAX_PAGE {
        return Err(format!("{} bytes, more than the {MAX_PAGE} that are read", meta.len()));
    }
    fs::read_to_string(at).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
