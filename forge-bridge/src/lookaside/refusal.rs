//! Answers that are no success, in the words that dist-git's clients print.

use std::io;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why a call was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 400: the form makes no sense, or the file is not what its checksum says.
    Malformed(String),
    /// 401: no token, or a wrong one.
    Unauthorised,
    /// 403: the operator lets nobody upload.
    NoUploads,
    /// 404.
    NotFound,
    /// 406: md5 alone is not taken.
    Md5,
    /// 408.
    TooSlow,
    /// 413.
    TooLarge {
        /// The bound.
        max_bytes: u64,
    },
    /// 503: too many uploads.
    Busy,
    /// 503: the disk; the cause is in the log.
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, text),
            Self::Unauthorised => {
                (StatusCode::UNAUTHORIZED, "uploads want the upload token as Bearer".to_owned())
            }
            Self::NoUploads => (
                StatusCode::FORBIDDEN,
                "nobody may upload here: the operator must set upload_token_file".to_owned(),
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "no such file".to_owned()),
            Self::Md5 => (
                StatusCode::NOT_ACCEPTABLE,
                "uploads with md5sum are off; send sha512sum".to_owned(),
            ),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the upload took too long".to_owned()),
            Self::TooLarge { max_bytes } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a file may have at most {max_bytes} bytes"),
            ),
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many uploads; try again".to_owned())
            }
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the cache's disk does not answer; try again".to_owned(),
            ),
        };
        let mut response = (status, text + "\n").into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        tracing::error!(%error, "lookaside: the directory cannot be used: {error}");
        Self::Unavailable
    }
}

/// Of reading a form.
impl From<multer::Error> for Refusal {
    fn from(error: multer::Error) -> Self {
        Self::Malformed(format!("the form cannot be read: {error}"))
    }
}
