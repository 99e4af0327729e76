//! What git says on standard input: `old new ref`, a line for each ref.

use forge_bridge::webhook::RefUpdate;
use workflows::names::{CommitId, RefName, RepositoryName};

/// Most bytes that are read: far more than [`MAX_UPDATES`] lines need.
pub(super) const MAX_INPUT_BYTES: u64 = 1024 * 1024;
/// Most refs of one push that are reported. A mirror that pushes more is found by the sweeper.
const MAX_UPDATES: usize = 1000;

/// The refs that moved, and what to tell about those that are not reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Updates {
    pub(super) updates: Vec<RefUpdate>,
    pub(super) complaints: Vec<String>,
}

/// Who pushed, and when, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pushed<'a> {
    pub(super) by: Option<&'a str>,
    pub(super) at: i64,
}

/// Reads git's lines.
pub(super) fn parse(input: &[u8], repository: &RepositoryName, pushed: Pushed<'_>) -> Updates {
    let mut parsed = Updates::default();
    let lines = input.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut left_out = 0_usize;
    for line in lines {
        if parsed.updates.len() == MAX_UPDATES {
            left_out += 1;
            continue;
        }
        match update(line, repository, pushed) {
            Some(update) => parsed.updates.push(update),
            None => parsed.complaints.push(format!(
                "not reported, since it is no ref that Strata knows: {}",
                line.escape_ascii()
            )),
        }
    }
    if left_out > 0 {
        let complaint = format!("{left_out} more refs than {MAX_UPDATES} are not reported");
        parsed.complaints.push(complaint);
    }
    parsed
}

fn update(line: &[u8], repository: &RepositoryName, pushed: Pushed<'_>) -> Option<RefUpdate> {
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let (before, after, name) = (words.next()?, words.next()?, words.next()?);
    for id in [before, after] {
        CommitId::parse_or_null(id).ok()?;
    }
    Some(RefUpdate {
        repository: repository.to_string(),
        ref_name: RefName::parse(name).ok()?.to_string(),
        before: before.to_owned(),
        after: after.to_owned(),
        pusher: pushed.by.map(str::to_owned),
        at: pushed.at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const NULL: &str = "0000000000000000000000000000000000000000";

    fn parsed(input: &str) -> Updates {
        let pushed = Pushed { by: Some("mina"), at: 7 };
        parse(input.as_bytes(), &"containers/httpd".parse().unwrap(), pushed)
    }

    #[test]
    fn each_line_is_one_update() {
        let input = format!("{NULL} {ONE} refs/heads/f43\n{ONE} {NULL} refs/tags/v1\n");
        let updates = parsed(&input).updates;
        let told: Vec<_> =
            updates.iter().map(|u| (u.ref_name.as_str(), u.after.as_str())).collect();
        assert_eq!(told, [("refs/heads/f43", ONE), ("refs/tags/v1", NULL)]);
        assert_eq!(updates[0].repository, "containers/httpd");
        assert_eq!((updates[0].pusher.as_deref(), updates[0].at), (Some("mina"), 7));
    }

    #[test]
    fn what_cannot_be_reported_is_told() {
        let input = format!("nonsense\n{ONE} {ONE} refs/heads/a b\n{NULL} {ONE} refs/heads/f43\n");
        let parsed = parsed(&input);
        assert_eq!((parsed.updates.len(), parsed.complaints.len()), (1, 2));
        let many = format!("{NULL} {ONE} refs/heads/f43\n").repeat(MAX_UPDATES + 2);
        let parsed = super::tests::parsed(&many);
        assert_eq!(parsed.updates.len(), MAX_UPDATES);
        assert_eq!(parsed.complaints, ["2 more refs than 1000 are not reported"]);
    }
}
