//! Credentials in, a client and what it may use out: how a server is reached over HTTP, for Git and for a forge's API.

use std::sync::{Mutex, PoisonError};

use super::access::{Access, Keys};
use super::{Limits, Trouble, http};

/// The way to a server over HTTP.
#[derive(Debug)]
pub struct Door {
    access: Access,
    limits: Limits,
    kept: Mutex<Option<Kept>>,
}

/// A client, and the certificates that it was made with.
#[derive(Debug)]
struct Kept {
    ca: Option<Vec<u8>>,
    client: reqwest::Client,
}

impl Door {
    pub fn new(access: Access, limits: Limits) -> Self {
        Self { access, limits, kept: Mutex::default() }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether its tokens are made by an App.
    pub(in crate::adapters) fn is_minted(&self) -> bool {
        self.access.minted.is_some()
    }

    /// What is to be used now: files are read anew.
    pub(in crate::adapters) fn keys(&self) -> Result<Keys, Trouble> {
        self.access.keys()
    }

    /// The client of the last operation, unless the certificates are others now.
    pub(in crate::adapters) fn client(&self, keys: &Keys) -> Result<reqwest::Client, Trouble> {
        let ca = keys.ca.as_deref();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.ca.as_deref() == ca) {
            return Ok(kept.client.clone());
        }
        let client = http::client(ca, self.limits).map_err(|why| match &self.access.ca_file {
            Some(file) if ca.is_some() => Trouble::BadFile { what: "CA file", file: file.clone(), why },
            _ => Trouble::Other { why },
        })?;
        *kept = Some(Kept { ca: ca.map(ToOwned::to_owned), client: client.clone() });
        Ok(client)
    }
}
