//! How often the API server failed, by how: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// A way in which an API server fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// Nobody answered, or the answer broke off.
    Unreachable,
    /// 401: the credentials do not count.
    Unauthorized,
    /// 403: a right is missing.
    Forbidden,
    /// 429, 503, 504.
    Busy,
    /// 410: what was asked for is too long ago.
    Expired,
    /// 409: somebody else wrote first.
    Conflict,
    /// Any other failure of the server.
    Other,
}

impl ApiError {
    pub const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Busy,
        Self::Expired,
        Self::Conflict,
        Self::Other,
    ];

    /// Its word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Busy => "busy",
            Self::Expired => "expired",
            Self::Conflict => "conflict",
            Self::Other => "other",
        }
    }

    /// What an answer says. That something does not exist is an answer, and no failure.
    fn of(status: StatusCode) -> Option<Self> {
        match status {
            StatusCode::UNAUTHORIZED => Some(Self::Unauthorized),
            StatusCode::FORBIDDEN => Some(Self::Forbidden),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Some(Self::Busy)
            }
            StatusCode::GONE => Some(Self::Expired),
            StatusCode::CONFLICT => Some(Self::Conflict),
            status if status.is_server_error() => Some(Self::Other),
            _ => None,
        }
    }
}

/// A count for each.
#[derive(Debug, Default)]
pub struct Errors([AtomicU64; ApiError::ALL.len()]);

impl Errors {
    pub(super) fn count(&self, error: ApiError) {
        self.0[error as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(error) = ApiError::of(status) {
            self.count(error);
        }
    }

    /// How often each happened so far.
    pub fn counts(&self) -> impl Iterator<Item = (ApiError, u64)> {
        ApiError::ALL.into_iter().map(|error| (error, self.0[error as usize].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_count_of_its_own() {
        let errors = Errors::default();
        for status in [200, 401, 403, 404, 409, 410, 429, 500, 503] {
            errors.answered(StatusCode::from_u16(status).unwrap());
        }
        errors.count(ApiError::Unreachable);
        let counts: Vec<u64> = errors.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 2, 1, 1, 1]);
        let words: Vec<&str> = ApiError::ALL.iter().map(|error| error.word()).collect();
        assert_eq!(words, crate::report::metrics::names::API_ERRORS, "metrics know them all");
    }
}
