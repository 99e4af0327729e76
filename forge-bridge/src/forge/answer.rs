//! What a forge's answer to a post means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use workflows::names::RepositoryName;

use super::PostError;

/// Longest pause that a forge can ask for. GitHub's limits last an hour; a broken clock or a
/// hostile header must not silence a forge for longer.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Longest body of a refusal that is read, in bytes.
pub(super) const MAX_REFUSAL_BYTES: usize = 16 * 1024;
/// Longest message of a forge that is repeated, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// Decides by status code and headers. `body` serves to tell a limit from a refusal, and its
/// message is repeated.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    repository: &RepositoryName,
    now: DateTime<Utc>,
) -> Result<(), PostError> {
    if status.is_success() {
        return Ok(());
    }
    let message = message(body);
    let told = if message.is_empty() { String::new() } else { format!(" (`{message}`)") };
    if is_limit(status, headers, &message) {
        return Err(PostError::Retry {
            after: pause(headers, now),
            why: format!("the forge limits requests: {status}{told}"),
        });
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        let why = format!("the forge answers {status}{told}");
        return Err(PostError::Retry { after: pause(headers, now), why });
    }
    Err(PostError::refused(match status {
        StatusCode::UNAUTHORIZED => {
            format!("the forge refuses the token{told}; put a valid one into token_file")
        }
        StatusCode::FORBIDDEN => format!(
            "the token may not set statuses of {repository}{told}; give it the right to write \
             commit statuses"
        ),
        StatusCode::NOT_FOUND => format!(
            "the forge has no such commit in {repository}, or hides it from the token{told}; \
             give the token access to the repository"
        ),
        StatusCode::UNPROCESSABLE_ENTITY => {
            format!("the forge does not accept the status{told}; the commit may be gone")
        }
        status if status.is_redirection() => format!(
            "the forge redirects the request ({status}); correct api_url or the repository's name"
        ),
        status => format!("the forge answers {status}{told}"),
    }))
}

/// No answer arrived; `error` may name the URL, which holds no secret.
pub(super) fn unsent(error: &dyn std::error::Error) -> PostError {
    let mut why = format!("cannot reach the forge: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    PostError::retry(why)
}

/// Forges say "too many" in three ways: 429, 403 with a header, 403 with words.
fn is_limit(status: StatusCode, headers: &HeaderMap, message: &str) -> bool {
    let used_up = || number(headers, "x-ratelimit-remaining") == Some(0);
    let words = || message.to_ascii_lowercase().contains("rate limit");
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => headers.contains_key(RETRY_AFTER) || used_up() || words(),
        _ => false,
    }
}

/// How long the forge wants to be left alone: `Retry-After` in seconds or as a date, else the
/// time when the limit is reset.
fn pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let until = |time: DateTime<Utc>| (time - now).to_std().unwrap_or_default();
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let by_header = retry_after.and_then(|text| match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(until(DateTime::parse_from_rfc2822(text).ok()?.to_utc())),
    });
    let by_reset = || {
        let used_up = number(headers, "x-ratelimit-remaining") == Some(0);
        let reset = number(headers, "x-ratelimit-reset").filter(|_| used_up)?;
        Some(until(DateTime::from_timestamp(reset, 0)?))
    };
    by_header.or_else(by_reset).map(|pause| pause.min(MAX_PAUSE))
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The `message` of a JSON answer, or what Pagure and GitLab call its `error`, cut and without
/// control characters.
pub(super) fn message(body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |name| parsed.as_ref().and_then(|json| json.get(name)?.as_str());
    let message = text("message").or_else(|| text("error"));
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    message.unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &str)], body: &str) -> Result<(), PostError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let repository = RepositoryName::parse("containers/httpd").unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        judge(status, &map, body.as_bytes(), &repository, now)
    }

    fn pause_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<u64> {
        match judged(status, headers, body) {
            Err(PostError::Retry { after, .. }) => after.map(|after| after.as_secs()),
            other => panic!("{status} {headers:?}: {other:?}"),
        }
    }

    #[test]
    fn every_way_to_say_too_many_is_obeyed() {
        assert_eq!(pause_of(429, &[], ""), None);
        assert_eq!(pause_of(429, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(pause_of(403, &[("retry-after", "60")], ""), Some(60));
        let date = "Tue, 14 Nov 2023 22:13:50 GMT";
        assert_eq!(pause_of(503, &[("retry-after", date)], ""), Some(30));
        let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000090")];
        assert_eq!(pause_of(403, &reset, ""), Some(90));
        let words = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert_eq!(pause_of(403, &[], words), None);
    }

    #[test]
    fn a_pause_is_bounded_and_never_negative() {
        assert_eq!(pause_of(429, &[("retry-after", "99999999")], ""), Some(3600));
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
        assert_eq!(pause_of(403, &past, ""), Some(0));
        assert_eq!(pause_of(503, &[("retry-after", "soon")], ""), None);
        // A limit with something left is not what stopped this request.
        let left = [("x-ratelimit-remaining", "10"), ("x-ratelimit-reset", "1700000090")];
        assert_eq!(pause_of(500, &left, ""), None);
    }

    #[test]
    fn outages_are_retried_and_refusals_say_what_to_do() {
        for status in [408, 500, 502, 503, 504] {
            assert!(matches!(judged(status, &[], ""), Err(PostError::Retry { .. })), "{status}");
        }
        for (status, advice) in [
            (401, "token_file"),
            (403, "right to write"),
            (404, "access to the repository"),
            (422, "commit may be gone"),
            (301, "api_url"),
            (400, "400"),
        ] {
            match judged(status, &[], r#"{"message":"Because"}"#) {
                Err(PostError::Refused { why }) => assert!(why.contains(advice), "{why}"),
                other => panic!("{status}: {other:?}"),
            }
        }
        assert_eq!(judged(201, &[], ""), Ok(()));
    }
}
