//! A GitHub App's id and key in, a token of its installation out: kept while it is good, made anew before it ends.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use octocrab::models::{AppId, InstallationId};
use octocrab::{Octocrab, OctocrabBuilder};
use serde_json::Value;

use crate::adapters::forge::address::Address;
use crate::adapters::forge::api::segment;
use crate::adapters::git::remote::{Door, Login, Secret, Trouble, runtime};

/// A key is not larger.
const MAX_KEY: u64 = 64 * 1024;
/// A token that is used for one operation is good for so long at least: a push may take its time.
const LEFT: i64 = 600;

/// An App that is installed on the repository.
#[derive(Debug)]
pub struct App {
    pub id: u64,
    /// The private key, in PEM; read anew when it changes.
    pub key_file: PathBuf,
    /// Asked for by the repository where it is not given.
    pub installation: Option<u64>,
    address: Address,
    /// Without a token: the key is what is shown.
    door: Door,
    made: Mutex<Option<Made>>,
}

/// A client that makes tokens, and the key that it does so with.
#[derive(Debug)]
struct Made {
    key: Vec<u8>,
    client: Octocrab,
}

impl App {
    pub fn new(id: u64, key_file: PathBuf, installation: Option<u64>, address: Address, door: Door) -> Self {
        Self { id, key_file, installation, address, door, made: Mutex::default() }
    }

    /// A token that is good for a while.
    pub fn token(&self) -> Result<Secret, Trouble> {
        let key = self.key()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|made| made.key != key) {
            *made = Some(Made { client: self.client(&key)?, key });
        }
        let Some(made) = made.as_ref() else { return Err(other("no client was made".to_owned())) };
        let runtime = runtime().ok_or_else(|| other("the network cannot be used".to_owned()))?;
        let asked = made.client.installation_token_with_buffer(chrono::Duration::seconds(LEFT));
        let token = runtime.block_on(asked).map_err(|error| self.trouble(&error))?;
        let token = secrecy_of(&token);
        Secret::new(&token).ok_or_else(|| other("GitHub gave an empty token".to_owned()))
    }

    fn client(&self, key: &[u8]) -> Result<Octocrab, Trouble> {
        let bad = |why: String| Trouble::BadFile { what: "key of the GitHub App", file: self.key_file.clone(), why };
        let runtime = runtime().ok_or_else(|| other("the network cannot be used".to_owned()))?;
        let http = self.door.client(&self.door.keys()?)?;
        let _inside = runtime.enter();
        let app = OctocrabBuilder::default()
            .base_uri(super::api_of(&self.address))
            .map_err(|error| other(error.to_string()))?
            .app_from_rsa_pem(AppId(self.id), key)
            .map_err(|_| bad("it is no private key for RSA in PEM".to_owned()))?
            .build_with_reqwest(http)
            .map_err(|error| other(error.to_string()))?;
        let installation = match self.installation {
            Some(id) => id,
            None => runtime.block_on(self.installed(&app))?,
        };
        app.installation(InstallationId(installation)).map_err(|error| other(error.to_string()))
    }

    /// The installation that has the repository.
    async fn installed(&self, app: &Octocrab) -> Result<u64, Trouble> {
        let parts: Vec<String> = self.address.project.split('/').map(segment).collect();
        let path = format!("/repos/{}/installation", parts.join("/"));
        let found: Value = app.get(path, None::<&()>).await.map_err(|error| self.trouble(&error))?;
        found["id"].as_u64().ok_or_else(|| other("GitHub names no installation of the App".to_owned()))
    }

    fn key(&self) -> Result<Vec<u8>, Trouble> {
        let bad = |why: String| Trouble::BadFile { what: "key of the GitHub App", file: self.key_file.clone(), why };
        let size = self.key_file.metadata().map_err(|error| bad(error.to_string()))?.len();
        if size > MAX_KEY {
            return Err(bad(format!("it is larger than {MAX_KEY} bytes")));
        }
        std::fs::read(&self.key_file).map_err(|error| bad(error.to_string()))
    }

    fn trouble(&self, error: &octocrab::Error) -> Trouble {
        match error {
            octocrab::Error::GitHub { source, .. } => match source.status_code.as_u16() {
                401 | 403 | 404 => {
                    let said = format!("App {} on {}: {}", self.id, self.address.project, source.message);
                    Trouble::Refused { with: Login::Key, said: said.chars().take(300).collect() }
                }
                status => Trouble::Busy { status, said: String::new(), retry_after: None },
            },
            // Its words could hold anything.
            _ => Trouble::Unreachable { host: self.address.base.clone(), why: "no token of the GitHub App".to_owned() },
        }
    }
}

fn secrecy_of(token: &impl secrecy::ExposeSecret<str>) -> String {
    token.expose_secret().to_owned()
}

fn other(why: String) -> Trouble {
    Trouble::Other { why }
}
