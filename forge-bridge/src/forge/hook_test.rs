//! A test delivery that the forge itself sends.
//!
//! Only such ones are asked for as begin no run: GitHub's ping, Forgejo's push of a branch onto
//! itself. GitLab's tests tell of what really is there, the newest push or comment, as if it had just
//! happened; the one that is asked for is of a made-up access token, which means nothing here.

use http::StatusCode;
use workflows::names::RepositoryName;

use super::answer::{Deed, message};
use super::hooks::HookId;
use super::request::Call;
use super::{Forge, ForgeError, github, gitlab};

/// GitLab's test that needs nothing to be there and tells of no commit.
const GITLAB_TEST: &str = "resource_access_token_events";

/// What a forge makes of the wish for a test delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HookTest {
    /// It sends one, or has sent it.
    Sent,
    /// It has none that could be asked for; the sentence says why.
    Impossible(&'static str),
    /// It has sent one, and says that it did not arrive, or was refused.
    Lost(String),
}

impl Forge {
    /// Has the forge send a test delivery to a webhook of a repository.
    ///
    /// # Errors
    /// [`ForgeError::Denied`] when the token may not.
    pub(crate) async fn test_hook(
        &self,
        repository: &RepositoryName,
        HookId(hook): HookId,
    ) -> Result<HookTest, ForgeError> {
        let (api, path) = match self {
            Self::Github(github) => {
                github::check(repository)?;
                (&github.api, format!("/repos/{repository}/hooks/{hook}/pings"))
            }
            Self::Forgejo(forgejo) => {
                (&forgejo.api, format!("/repos/{repository}/hooks/{hook}/tests"))
            }
            Self::Gitlab(gitlab) => {
                let project = gitlab::project(repository);
                (&gitlab.api, format!("{project}/hooks/{hook}/test/{GITLAB_TEST}"))
            }
            Self::Pagure(_) | Self::Git(_) => {
                return Ok(HookTest::Impossible("the forge sends no test deliveries"));
            }
        };
        let answer = api.send(Call::post(Deed::Webhooks, path).of(repository)).await?;
        if matches!(self, Self::Gitlab(_)) {
            match answer.status {
                // No such call, or no such test.
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                    return Ok(HookTest::Impossible(
                        "this GitLab has no test that tells of nothing new; \"Test\" beside the \
                         webhook sends the newest push as if it had just happened",
                    ));
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    return Ok(HookTest::Lost(message(&answer.body)));
                }
                _ => {}
            }
        }
        api.need_good(&answer, Deed::Webhooks, repository)?;
        Ok(HookTest::Sent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::State;
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;
    use crate::config::ForgeKind;
    use crate::forge::tests::{TOKEN, serve};

    /// What a forge of this kind makes of it that has this path, and answers so.
    async fn tested(
        kind: ForgeKind,
        path: &'static str,
        status: u16,
        body: serde_json::Value,
    ) -> (Result<HookTest, ForgeError>, usize) {
        let asked: Arc<Mutex<usize>> = Arc::default();
        let status = StatusCode::from_u16(status).unwrap();
        let answer = async move |State(asked): State<Arc<Mutex<usize>>>| {
            *asked.lock().unwrap() += 1;
            (status, Json(body))
        };
        let router = Router::new().route(path, post(answer)).with_state(Arc::clone(&asked));
        let (address, _server) = serve(router).await;
        let forge = crate::forge::hooks::tests::forge(kind, &format!("http://{address}"));
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        let found = forge.test_hook(&httpd, HookId(12)).await;
        assert!(!format!("{found:?}").contains(TOKEN));
        let asked = *asked.lock().unwrap();
        (found, asked)
    }

    #[tokio::test]
    async fn each_forge_is_asked_for_what_begins_no_run() {
        let gitlab = "/projects/containers%2Fhttpd/hooks/12/test/resource_access_token_events";
        for (kind, path, status) in [
            (ForgeKind::Github, "/repos/containers/httpd/hooks/12/pings", 204),
            (ForgeKind::Forgejo, "/repos/containers/httpd/hooks/12/tests", 204),
            (ForgeKind::Gitea, "/repos/containers/httpd/hooks/12/tests", 204),
            (ForgeKind::Gitlab, gitlab, 201),
        ] {
            let found = tested(kind, path, status, json!({})).await;
            assert_eq!(found, (Ok(HookTest::Sent), 1), "{kind:?}");
        }
        let (found, asked) = tested(ForgeKind::Pagure, "/", 200, json!({})).await;
        assert!(matches!(found, Ok(HookTest::Impossible(_))) && asked == 0, "{found:?}");
    }

    #[tokio::test]
    async fn what_a_forge_cannot_do_and_what_a_token_may_not_are_no_failures() {
        let gitlab = "/projects/containers%2Fhttpd/hooks/12/test/resource_access_token_events";
        let unknown = json!({"error": "trigger does not have a valid value"});
        for (path, status, body) in [("/elsewhere", 404, json!({})), (gitlab, 400, unknown)] {
            let (found, _) = tested(ForgeKind::Gitlab, path, status, body).await;
            assert!(matches!(found, Ok(HookTest::Impossible(_))), "{found:?}");
        }
        let lost = json!({"message": "Hook execution failed: execution expired"});
        let (found, _) = tested(ForgeKind::Gitlab, gitlab, 422, lost).await;
        assert!(
            matches!(&found, Ok(HookTest::Lost(why)) if why.ends_with("execution expired")),
            "{found:?}"
        );
        for status in [403, 404] {
            let path = "/repos/containers/httpd/hooks/12/pings";
            let (found, _) = tested(ForgeKind::Github, path, status, json!({})).await;
            assert!(matches!(found, Err(ForgeError::Denied { .. })), "{found:?}");
        }
    }
}
