//! The number that a delivery gives its repository.
//!
//! It is nobody's word and a hint only: where it is not the one that is known, the forge is asked.

use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    /// GitHub, Forgejo and Gitea.
    repository: Option<Numbered>,
    /// GitLab.
    project: Option<Numbered>,
    /// Pagure.
    msg: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    project: Option<Numbered>,
    repo: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    id: Option<u64>,
}

/// What a body says, if it is JSON and says so.
pub(super) fn id(body: &[u8]) -> Option<u64> {
    let Body { repository, project, msg } = serde_json::from_slice(body).ok()?;
    let of_msg = msg.and_then(|msg| msg.project.or(msg.repo));
    [repository, project, of_msg].into_iter().flatten().find_map(|one| one.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forge_says_it_in_its_own_place() {
        assert_eq!(id(br#"{"repository": {"id": 7, "name": "x"}}"#), Some(7));
        assert_eq!(id(br#"{"repository": {"name": "x"}, "project": {"id": 8}}"#), Some(8));
        assert_eq!(id(br#"{"msg": {"project": {"id": 9}}}"#), Some(9));
        for nothing in ["", "{}", "payload=x", r#"{"repository": {"id": "7"}}"#, "[]"] {
            assert_eq!(id(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
