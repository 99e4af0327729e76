//! What a forge's answer to a post means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use workflows::names::RepositoryName;

use super::ForgeError;
use super::request::Answer;

/// Longest pause that a forge can ask for. GitHub's limits last an hour; a broken clock or a
/// hostile header must not silence a forge for longer.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long a limit lasts when the forge does not say: GitHub asks for at least a minute then.
const UNNAMED_PAUSE: Duration = Duration::from_secs(60);
/// Longest body of a refusal that is read, in bytes.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;
/// Longest message of a forge that is repeated, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// Answers to a request that is good at another time: something else is done at this moment, or too
/// early.
const NOT_NOW: [StatusCode; 3] = [StatusCode::CONFLICT, StatusCode::LOCKED, StatusCode::TOO_EARLY];

/// What was asked of the forge, for the words of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Posting a commit status or a check run.
    Status,
    /// Commenting on a pull request.
    Comment,
    /// Asking who somebody is to a repository.
    Permission,
    /// Listing repositories.
    Repositories,
    /// Listing pull requests.
    Pulls,
    /// Reading or making webhooks, and their deliveries.
    Webhooks,
    /// Reading the key that webhooks are signed with.
    WebhookKey,
    /// Asking who the token belongs to.
    Identity,
    /// Acting as an App's installation.
    Install,
}

impl Deed {
    fn in_words(self) -> &'static str {
        match self {
            Self::Status => "set statuses",
            Self::Comment => "comment",
            Self::Permission => "ask who may write",
            Self::Repositories => "list repositories",
            Self::Pulls => "list pull requests",
            Self::Webhooks => "see webhooks",
            Self::WebhookKey => "read the webhook key",
            Self::Identity => "say whose it is",
            Self::Install => "act as an installation of the App",
        }
    }

    /// What the token needs.
    fn right(self) -> &'static str {
        match self {
            Self::Status => "give it the right to write commit statuses",
            Self::Comment => "give it the right to write issues and pull requests",
            Self::Permission => "give it the right to read members",
            Self::Repositories => "give it the right to read repositories",
            Self::Pulls => "give it the right to read pull requests",
            Self::Webhooks => "give it the right to administer webhooks",
            Self::WebhookKey => "make its user a member of the project; `ticket` is enough",
            Self::Identity => "give it the right to read its own user",
            Self::Install => "install the App for the owner of the repository",
        }
    }
}

/// Decides about an answer by its status code and headers.
pub(super) fn judge(
    answer: &Answer,
    deed: Deed,
    repository: Option<&RepositoryName>,
    now: DateTime<Utc>,
) -> Result<(), ForgeError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let body = &answer.body[..answer.body.len().min(MAX_REFUSAL_BYTES)];
    judge_parts(answer.status, &answer.headers, &message(body), deed, repository, now)
}

/// As [`judge`]; `message` serves to tell a limit from a refusal, and is repeated.
pub(super) fn judge_parts(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    deed: Deed,
    repository: Option<&RepositoryName>,
    now: DateTime<Utc>,
) -> Result<(), ForgeError> {
    if status.is_success() {
        return Ok(());
    }
    let told = if message.is_empty() { String::new() } else { format!(" (`{message}`)") };
    let of = repository.map(|repository| format!(" of {repository}")).unwrap_or_default();
    if is_limit(status, headers, message) {
        return Err(ForgeError::Retry {
            after: Some(pause(headers, now).unwrap_or(UNNAMED_PAUSE)),
            holder: None,
            may_be_done: false,
            why: format!("the forge limits requests: {status}{told}"),
        });
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        let why = format!("the forge answers {status}{told}");
        let after = pause(headers, now);
        // Of all these only "not available" says that nobody has begun.
        let may_be_done = status != StatusCode::SERVICE_UNAVAILABLE;
        return Err(ForgeError::Retry { after, holder: None, may_be_done, why });
    }
    if NOT_NOW.contains(&status) {
        let (after, why) = (pause(headers, now), format!("the forge answers {status}{told}"));
        return Err(ForgeError::Retry { after, holder: None, may_be_done: false, why });
    }
    let (deed, right) = (deed.in_words(), deed.right());
    Err(match status {
        StatusCode::UNAUTHORIZED if is_missing_right(message) => {
            ForgeError::Denied { why: format!("the token may not {deed}{of}{told}; {right}") }
        }
        StatusCode::FORBIDDEN => {
            ForgeError::Denied { why: format!("the token may not {deed}{of}{told}; {right}") }
        }
        StatusCode::NOT_FOUND => ForgeError::Denied {
            why: format!(
                "the forge has no such thing{of}, or hides it from the token{told}, which wants \
                 to {deed}; give the token access to the repository, or {right}"
            ),
        },
        StatusCode::UNAUTHORIZED => ForgeError::refused(format!(
            "the forge refuses the token{told}; put a valid one into token_file"
        )),
        StatusCode::UNPROCESSABLE_ENTITY => ForgeError::refused(format!(
            "the forge does not accept the request to {deed}{of}{told}; the commit may be gone"
        )),
        status if status.is_redirection() => ForgeError::refused(format!(
            "the forge redirects the request ({status}); correct api_url or the repository's name"
        )),
        status => ForgeError::refused(format!("the forge answers {status}{told}")),
    })
}

/// What the words of an error begin with when no answer arrived.
const UNREACHABLE: &str = "cannot reach the forge";
/// The same, when an answer is none of the API's.
const UNDOCUMENTED: &str = "the forge's answer is not as it documents it";

impl ForgeError {
    /// An answer that cannot be read.
    pub(super) fn undocumented(why: impl std::fmt::Display) -> Self {
        Self::retry(format!("{UNDOCUMENTED}: {why}"))
    }

    /// What somebody who set the forge up can do about an error that may pass.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Retry { after: Some(_), .. } => "nothing is wrong here; try again after that",
            Self::Retry { why, .. } if why.starts_with(UNREACHABLE) => {
                "look at api_url, at allow_private for a private network, and at a proxy of the \
                 environment"
            }
            Self::Retry { why, .. } if why.starts_with(UNDOCUMENTED) => {
                "look at api_url: something else than the API may answer there, such as a page to \
                 log in or a proxy"
            }
            _ => "the forge is at fault, or a proxy before it; try again later",
        }
    }
}

/// No answer arrived; `error` may name the URL, which holds no secret.
pub(super) fn unsent(error: &(dyn std::error::Error + 'static)) -> ForgeError {
    let mut why = format!("{UNREACHABLE}: {error}");
    let mut may_be_done = !is_connect(error);
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        may_be_done &= !is_connect(cause);
        source = cause.source();
    }
    ForgeError::Retry { after: None, holder: None, may_be_done, why }
}

/// Whether there was no connection on which anything could have been sent.
fn is_connect(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
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

/// Pagure answers 401 to a good token that lacks a right, too.
fn is_missing_right(message: &str) -> bool {
    message.contains("Missing ACLs") || message.contains("do not have sufficient permissions")
}

/// The `message` of a JSON answer, or what Pagure calls its `errors` and GitLab and Pagure its
/// `error`, cut and without control characters.
pub(super) fn message(body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = |name| parsed.as_ref().and_then(|json| json.get(name)?.as_str());
    let message = text("message").or_else(|| text("errors")).or_else(|| text("error"));
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    message.unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &str)], body: &str) -> Result<(), ForgeError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let repository = RepositoryName::parse("containers/httpd").unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let body = body.to_owned().into();
        let answer = Answer { status, headers: map, body, is_cut: false };
        judge(&answer, Deed::Status, Some(&repository), now)
    }

    fn pause_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<u64> {
        match judged(status, headers, body) {
            Err(ForgeError::Retry { after, .. }) => after.map(|after| after.as_secs()),
            other => panic!("{status} {headers:?}: {other:?}"),
        }
    }

    #[test]
    fn every_way_to_say_too_many_is_obeyed() {
        assert_eq!(pause_of(429, &[], ""), Some(60));
        assert_eq!(pause_of(429, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(pause_of(403, &[("retry-after", "60")], ""), Some(60));
        let date = "Tue, 14 Nov 2023 22:13:50 GMT";
        assert_eq!(pause_of(503, &[("retry-after", date)], ""), Some(30));
        let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000090")];
        assert_eq!(pause_of(403, &reset, ""), Some(90));
        let words = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert_eq!(pause_of(403, &[], words), Some(60));
    }

    #[test]
    fn only_some_answers_say_that_nothing_was_done() {
        let limit = [("retry-after", "7")];
        for (status, headers, may_be_done) in [
            (429, &limit[..], false),
            (403, &limit[..], false),
            (503, &[], false),
            (409, &[], false),
            (500, &[], true),
            (502, &[], true),
            (504, &limit[..], true),
            (408, &[], true),
        ] {
            let error = judged(status, headers, "").unwrap_err();
            assert_eq!(error.may_be_done(), may_be_done, "{status}");
        }
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
        for status in [408, 409, 423, 425, 500, 502, 503, 504] {
            assert!(matches!(judged(status, &[], ""), Err(ForgeError::Retry { .. })), "{status}");
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
                Err(ForgeError::Refused { why } | ForgeError::Denied { why }) => {
                    assert!(why.contains(advice), "{why}");
                }
                other => panic!("{status}: {other:?}"),
            }
            let is_denied = matches!(judged(status, &[], ""), Err(ForgeError::Denied { .. }));
            assert_eq!(is_denied, [403, 404].contains(&status), "{status}");
        }
        assert_eq!(judged(201, &[], ""), Ok(()));
    }

    #[test]
    fn the_advice_fits_what_happened() {
        let limit = judged(429, &[], "").unwrap_err();
        assert!(limit.advice().contains("try again after that"));
        assert!(judged(500, &[], "").unwrap_err().advice().contains("the forge is at fault"));
        let away = unsent(&std::io::Error::other("no route"));
        assert!(away.advice().contains("allow_private"), "{away}");
        for (body, is_cut) in [("<html>", false), ("[1, 2", true)] {
            let (status, headers) = (StatusCode::OK, HeaderMap::new());
            let answer = Answer { status, headers, body: body.into(), is_cut };
            let error = answer.json::<serde_json::Value>().unwrap_err();
            assert!(error.advice().contains("something else than the API"), "{error}");
        }
    }

    #[test]
    fn a_commit_with_a_thousand_statuses_takes_no_more_and_says_so() {
        let body =
            r#"{"message":"This SHA and context has reached the maximum number of statuses."}"#;
        match judged(422, &[], body) {
            Err(ForgeError::Refused { why }) => assert!(why.contains("maximum"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pagures_401_for_a_right_that_is_missing_is_no_bad_token() {
        // Three answers of a real one.
        let acl = r#"{"error":"Invalid or expired token.","error_code":"EINVALIDTOK",
            "errors":"Missing ACLs: commit_flag"}"#;
        let member = r#"{"error":"You do not have sufficient permissions to perform this action",
            "error_code":"ENOTHIGHENOUGH"}"#;
        let bad = r#"{"error":"Invalid or expired token.","error_code":"EINVALIDTOK",
            "errors":"Invalid token"}"#;
        for body in [acl, member] {
            assert!(matches!(judged(401, &[], body), Err(ForgeError::Denied { .. })), "{body}");
        }
        match judged(401, &[], bad) {
            Err(ForgeError::Refused { why }) => assert!(why.contains("Invalid token"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
