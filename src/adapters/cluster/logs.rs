//! A container in, the end of its log out.

use anyhow::Result;
use http::StatusCode;

use super::Cluster;
use super::http::encoded;
use super::list::who;
use crate::case::{Gap, LogKey};

/// Lines from the end. Where so many are larger than the limit, fewer are asked for: the API server cuts the end, and
/// the end is what tells.
const LINES: [usize; 3] = [2000, 200, 20];
const LARGEST: usize = 512 << 10;
/// Above the limit that the server is told.
const BOUND: usize = 4 * LARGEST;

/// What there is of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    Text(String),
    /// There is none: the container did not start, did not run before, or the pod is gone.
    None,
    /// It could not be read.
    Refused(Gap),
}

impl Cluster {
    /// The last lines of a log, with timestamps.
    pub async fn log(&self, key: &LogKey) -> Result<Logged> {
        let mut text = None;
        for lines in LINES {
            let path = format!(
                "/api/v1/namespaces/{}/pods/{}/log?container={}&previous={}&timestamps=true&tailLines={lines}&limitBytes={LARGEST}",
                encoded(key.pod.ns()),
                encoded(&key.pod.name),
                encoded(&key.container),
                key.previous
            );
            let reply = self.get(&path, "*/*", BOUND).await?;
            match reply.status {
                StatusCode::OK => text = Some(String::from_utf8_lossy(&reply.bytes).into_owned()),
                StatusCode::NOT_FOUND => return Ok(Logged::None),
                StatusCode::BAD_REQUEST if is_absent(&reply.message()) => return Ok(Logged::None),
                status => return Ok(Logged::Refused(refused(key, status, &reply.message()))),
            }
            if reply.bytes.len() < LARGEST {
                break;
            }
        }
        Ok(text.map_or(Logged::None, Logged::Text))
    }
}

/// A missing right is missing for all logs of a namespace, and told once.
fn refused(key: &LogKey, status: StatusCode, message: &str) -> Gap {
    if status == StatusCode::FORBIDDEN {
        let why = format!("cannot be read: {} may not; add get on pods/log", who(message));
        return Gap { what: format!("logs in {}", key.pod.ns()), why };
    }
    Gap { what: format!("the {key}"), why: format!("cannot be read: {message}") }
}

/// Refusals that say that there is no log.
fn is_absent(message: &str) -> bool {
    message.contains("waiting to start")
        || message.contains("previous terminated container")
        || message.contains("not available")
        || message.contains("does not have a host assigned")
}
