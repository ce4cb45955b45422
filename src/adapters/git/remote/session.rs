//! One operation on a remote repository: its limits, its credentials, and what went wrong.
//!
//! libgit2 calls back into a transport that knows nothing but a URL. So it is always given the same URL, which says
//! nothing, and the transport takes the operation of its thread. The real URL never reaches libgit2, its files or its
//! messages.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use git2::transport::Transport;
use git2::{ErrorClass, ErrorCode};

use super::access::Keys;
use super::http::Http;
use super::ssh::Ssh;
use super::{Limits, Trouble};
use crate::case::{RepoUrl, Scheme, Timestamp};

/// What libgit2 is told instead of the URL.
pub(super) const URL: &str = "kubecure://repository";
const SCHEME: &str = "kubecure";
/// So much room is left in the folder of the clone. libgit2 writes packs through a memory map, where a full disk is no
/// error but the end of the process; so it is noticed before.
const RESERVE: u64 = 4 * 1024 * 1024;
/// Room is looked at after so many bytes.
const LOOK_AFTER: u64 = 256 * 1024;

/// One operation.
pub(super) struct Session {
    pub url: RepoUrl,
    pub keys: Keys,
    pub limits: Limits,
    /// For `http`: connections are kept from one operation to the next.
    pub client: Option<reqwest::Client>,
    /// What must keep some room.
    pub folder: Option<PathBuf>,
    began: Instant,
    received: AtomicU64,
    /// The server's clock less ours, in seconds, as its last answer has it.
    clock_ahead: Mutex<Option<i64>>,
    trouble: Mutex<Option<Trouble>>,
}

thread_local! {
    /// The operation that the thread is in.
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

impl Session {
    pub fn new(url: RepoUrl, keys: Keys, limits: Limits) -> Self {
        let (received, clock_ahead, trouble) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        Self { url, keys, limits, client: None, folder: None, began: Instant::now(), received, clock_ahead, trouble }
    }

    /// Does the work of libgit2; what goes wrong below it comes out as what it is.
    pub fn run<T>(self: &Arc<Self>, work: impl FnOnce() -> Result<T, git2::Error>) -> Result<T, Trouble> {
        register()?;
        CURRENT.with_borrow_mut(|current| *current = Some(self.clone()));
        let done = work();
        CURRENT.with_borrow_mut(Option::take);
        // Kept from below, it is nearer to the cause than what libgit2 makes of it.
        let below = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        done.map_err(|error| below.unwrap_or_else(|| self.trouble_of(&error)))
    }

    /// Keeps what went wrong; libgit2 gets an error without words of others.
    pub fn fail(&self, trouble: Trouble) -> io::Error {
        let mut kept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(trouble);
        io::Error::other("the transport failed")
    }

    /// Waits for something of the network: not longer than a stall, nor than is left of the operation.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, Trouble> {
        let runtime = runtime().ok_or_else(|| Trouble::Other { why: "the network cannot be used".to_owned() })?;
        let left = self.left()?;
        let stall = self.limits.stall;
        let waited = runtime.block_on(async { tokio::time::timeout(left.min(stall), what).await });
        waited.map_err(|_| match self.left() {
            Ok(_) => Trouble::Stalled { after: stall },
            Err(over) => over,
        })
    }

    /// What is left of the time for the operation.
    pub fn left(&self) -> Result<Duration, Trouble> {
        let left = self.limits.whole.saturating_sub(self.began.elapsed());
        if left.is_zero() { Err(Trouble::TooSlow { limit: self.limits.whole }) } else { Ok(left) }
    }

    /// Counts what came, and says when it is too much or has nowhere to go.
    pub fn came(&self, bytes: usize) -> Result<(), Trouble> {
        let bytes = bytes as u64;
        let before = self.received.fetch_add(bytes, Ordering::Relaxed);
        self.came_to(before + bytes, before)
    }

    fn came_to(&self, all: u64, before: u64) -> Result<(), Trouble> {
        if all > self.limits.bytes {
            return Err(Trouble::TooLarge { limit: self.limits.bytes });
        }
        if before == 0 || before / LOOK_AFTER != all / LOOK_AFTER { self.has_room() } else { Ok(()) }
    }

    /// The same where libgit2 itself copies, and only tells how far it is.
    pub fn copied(&self, all: u64) -> Result<(), Trouble> {
        let before = self.received.swap(all, Ordering::Relaxed);
        self.left()?;
        self.came_to(all, before)
    }

    /// Keeps what the header `Date` of an answer says.
    pub fn dated(&self, date: &str) {
        let date = jiff::fmt::rfc2822::parse(date).map(|date| date.timestamp().as_second());
        let ahead = date.ok().map(|date| date - Timestamp::now().as_second());
        *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }

    /// The server's clock less ours, in seconds, if it told.
    pub fn clock_ahead(&self) -> Option<i64> {
        *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the folder of the clone has room.
    pub fn has_room(&self) -> Result<(), Trouble> {
        match &self.folder {
            Some(folder) if room(folder).is_some_and(|room| room < RESERVE) => {
                Err(Trouble::DiskFull { folder: folder.clone() })
            }
            _ => Ok(()),
        }
    }

    fn trouble_of(&self, error: &git2::Error) -> Trouble {
        let why = self.keys.said(error.message());
        let folder = || self.folder.clone().unwrap_or_default();
        match error.class() {
            _ if why.contains("No space left") || why.contains("quota exceeded") => {
                Trouble::DiskFull { folder: folder() }
            }
            ErrorClass::Os | ErrorClass::Filesystem if self.folder.is_some() => {
                Trouble::Folder { folder: folder(), why }
            }
            ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object | ErrorClass::Sha1 => {
                Trouble::Damaged { why }
            }
            ErrorClass::Net if error.code() == ErrorCode::Eof || why.contains("early EOF") => {
                Trouble::Damaged { why: "it ended in the middle".to_owned() }
            }
            _ if error.code() == ErrorCode::NotFound && self.url.scheme() == Scheme::File => {
                Trouble::NotFound { url: self.url.to_string() }
            }
            _ => Trouble::Other { why },
        }
    }
}

/// The thread's operation.
fn current() -> Result<Arc<Session>, git2::Error> {
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| git2::Error::from_str("no operation is under way"))
}

/// The runtime that all connections live in. It works while somebody waits, and has no thread of its own.
pub(in crate::adapters) fn runtime() -> Option<&'static tokio::runtime::Runtime> {
    static RUNTIME: OnceLock<Option<tokio::runtime::Runtime>> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().enable_all().build().ok()).as_ref()
}

/// Tells libgit2 of the transport, once.
#[expect(unsafe_code, reason = "git2 has no other way to add a transport")]
fn register() -> Result<(), Trouble> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let make = |remote: &git2::Remote<'_>| {
            let session = current()?;
            match session.url.scheme() {
                Scheme::Ssh => Transport::smart(remote, false, Ssh::new(session)),
                _ => Transport::smart(remote, true, Http::new(session)),
            }
        };
        // SAFETY: libgit2 wants that no transport is looked up or added meanwhile. `OnceLock` lets one thread in and
        // keeps the others waiting, every use of a transport in this program comes through `run`, which waits here, and
        // nothing else adds one.
        unsafe { git2::transport::register(SCHEME, make) }.map_err(|error| error.message().to_owned())
    });
    done.clone().map_err(|why| Trouble::Other { why })
}

/// Bytes that are free in a folder, where the system tells.
#[cfg(unix)]
fn room(folder: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &std::path::Path) -> Option<u64> {
    None
}
