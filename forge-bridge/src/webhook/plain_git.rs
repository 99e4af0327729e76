//! Deliveries of `strata hook`, the post-receive hook of bare repositories.

use serde::{Deserialize, Serialize};
use workflows::event::{Event, Ping};
use workflows::names::RepositoryName;

use super::decode::{Undecoded, quoted};
use super::refs::{RefMove, actor};

/// What `strata hook` sends for each ref of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// The repository's path below the hook's root.
    pub repository: String,
    /// The full ref.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// The old id, or zeros for a new ref.
    pub before: String,
    /// The new id, or zeros for a deleted ref.
    pub after: String,
    /// Who pushed, where the server knows.
    #[serde(default)]
    pub pusher: Option<String>,
    /// When the hook ran, in nanoseconds since 1970: a ref that moves as it did before is told in
    /// other words than a delivery that is sent again.
    #[serde(default)]
    pub at: i64,
}

/// What `strata forge check` sends.
#[derive(Deserialize)]
struct Pinged {
    repository: String,
}

pub(super) fn decode(event_name: &str, body: &[u8]) -> Result<Event, Undecoded> {
    if event_name == "ping" {
        let Pinged { repository } = serde_json::from_slice(body)?;
        return Ok(Event::Ping(Ping { repository: Some(RepositoryName::parse(&repository)?) }));
    }
    if event_name != "push" {
        return Ok(Event::ignored(None, format!("event {} is not known", quoted(event_name))));
    }
    let update: RefUpdate = serde_json::from_slice(body)?;
    RefMove {
        repository: RepositoryName::parse(&update.repository)?,
        ref_name: &update.ref_name,
        before: &update.before,
        after: &update.after,
        // Git's hook does not tell; the history does.
        forced: false,
        actor: update.pusher.and_then(actor),
    }
    .event()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";
    const NULL: &str = "0000000000000000000000000000000000000000";

    fn decoded(ref_name: &str, before: &str, after: &str) -> Event {
        let update = RefUpdate {
            repository: "containers/httpd".into(),
            ref_name: ref_name.into(),
            before: before.into(),
            after: after.into(),
            pusher: Some("mina".into()),
            at: 7,
        };
        decode("push", &serde_json::to_vec(&update).unwrap()).unwrap()
    }

    #[test]
    fn a_ref_that_moved_is_told_by_its_ids() {
        for (ref_name, before, after, kind) in [
            ("refs/heads/f43", ONE, TWO, "push"),
            ("refs/heads/f43", NULL, TWO, "push"),
            ("refs/heads/f43", ONE, NULL, "branch_deleted"),
            ("refs/tags/v1", NULL, TWO, "tag_created"),
            ("refs/tags/v1", ONE, NULL, "tag_deleted"),
            ("refs/notes/commits", ONE, TWO, "ignored"),
            ("refs/heads/f43", ONE, ONE, "ignored"),
            ("refs/heads/f43", NULL, NULL, "ignored"),
        ] {
            let event = decoded(ref_name, before, after);
            assert_eq!(event.kind(), kind, "{ref_name} {before} {after}");
            assert_eq!(event.repository().unwrap().as_str(), "containers/httpd");
        }
    }

    #[test]
    fn a_new_branch_has_no_before() {
        let Event::Push(push) = decoded("refs/heads/f43", NULL, TWO) else { panic!("no push") };
        assert_eq!((push.before, push.actor.as_deref()), (None, Some("mina")));
    }
}
