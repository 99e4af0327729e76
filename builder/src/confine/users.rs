//! Whom USER and `--chown` mean, by the image's own files.

use std::path::Path;

use crate::owners::owner_here;
use crate::root::Root;

/// Most of `/etc/passwd` or `/etc/group` that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A user of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, the first one included.
    pub(crate) groups: Vec<u32>,
    /// The home directory; the root of the image for a user whom it does not know.
    pub(crate) home: String,
}

/// Reads `user`, `user:group`, numbers or names; empty means root. `group_follows_user` is how
/// `--chown` reads a lone number: it stands for the group as well. Whom this machine cannot stand
/// for is refused here, before a file is his or a command is to run as him.
pub(crate) fn resolve_user(
    root: &Root,
    text: &str,
    group_follows_user: bool,
) -> Result<Identity, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let read = |path: &str| {
        root.read_small(Path::new(path), MAX_FILE_BYTES)
            .map(Option::unwrap_or_default)
            .map_err(|error| format!("cannot read the image's {path}: {error}"))
    };
    let passwd = read("etc/passwd")?;
    let groups_text = read("etc/group")?;
    let user = if user.is_empty() { "0" } else { user };
    let known = lines(&passwd).find(|fields| match number(user) {
        Some(uid) => fields.get(2).is_some_and(|field| number(field) == Some(uid)),
        None => fields[0] == user,
    });
    let field = |fields: &[&str], at: usize| fields.get(at).and_then(|field| number(field));
    let uid = match (number(user), &known) {
        (Some(uid), _) => uid,
        (None, Some(fields)) => field(fields, 2).unwrap_or(0),
        (None, None) => return Err(format!("the image has no user `{user}` in /etc/passwd")),
    };
    let own_gid = known.as_ref().and_then(|fields| field(fields, 3));
    let gid = match group {
        None if group_follows_user && number(user).is_some() => uid,
        None => own_gid.unwrap_or(0),
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => lines(&groups_text)
                .find(|fields| fields[0] == group)
                .and_then(|fields| field(&fields, 2))
                .ok_or_else(|| format!("the image has no group `{group}` in /etc/group"))?,
        },
    };
    let name = known.as_ref().map(|fields| fields[0]);
    let member = |fields: &Vec<&str>| {
        name.is_some_and(|name| fields.get(3).is_some_and(|m| m.split(',').any(|m| m == name)))
    };
    // A group that is named takes the place of all others. The first group is listed among the
    // others too, as engines do it: no file can then be refused to a group by its own name.
    let mut groups = vec![gid];
    if group.is_none() {
        groups.extend(lines(&groups_text).filter(member).filter_map(|f| field(&f, 2)));
    }
    for id in groups.iter().chain([&uid]) {
        owner_here(u64::from(*id), None).map_err(|error| error.to_string())?;
    }
    let home = known.as_ref().and_then(|fields| fields.get(5)).filter(|home| !home.is_empty());
    let home = home.map_or("/", |home| home).to_owned();
    Ok(Identity { uid, gid, groups, home })
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_those_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1001:1002::/:/bin/sh\n";
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        let group = "root:x:0:\napp:x:1002:\nextra:x:7:app,other\n";
        std::fs::write(dir.path().join("etc/group"), group).unwrap();
        let root = Root::open(dir.path()).unwrap();
        for (text, follows, uid, gid, groups) in [
            ("", false, 0, 0, &[0][..]),
            ("app", false, 1001, 1002, &[1002, 7]),
            ("1001", false, 1001, 1002, &[1002, 7]),
            ("1001", true, 1001, 1001, &[1001, 7]),
            ("5", false, 5, 0, &[0]),
            ("app:extra", false, 1001, 7, &[7]),
            ("app:9", false, 1001, 9, &[9]),
            (":9", false, 0, 9, &[9]),
            ("1000650000", false, 1_000_650_000, 0, &[0]),
            ("1000650000", true, 1_000_650_000, 1_000_650_000, &[1_000_650_000]),
        ] {
            let home = if uid == 0 { "/root" } else { "/" }.to_owned();
            let expected = Identity { uid, gid, groups: groups.to_vec(), home };
            assert_eq!(resolve_user(&root, text, follows), Ok(expected), "{text}");
        }
        assert!(resolve_user(&root, "nobody", false).is_err());
        assert!(resolve_user(&root, "app:nobody", false).is_err());
        for too_high in ["4000000000", "app:4000000000"] {
            let why = resolve_user(&root, too_high, true).unwrap_err();
            assert!(why.contains("user or group 4000000000 is above"), "{why}");
        }
    }
}
