//! Whose the files of images are on this machine.
//!
//! User 0 of an image owns its files as [`first_owner`], so that neither a process in the sandbox
//! nor a file in the store ever belongs to a user of the machine. Root takes a range far above
//! those that distributions give to people. A user who is not root has the range that
//! `/etc/subuid` gives, in a namespace of its own, see [`crate::in_user_namespace`].

use std::fs;
use std::sync::OnceLock;

/// Where the users of images begin when root builds.
const ROOTS_FIRST: u32 = 0x6000_0000;
/// How many users an image then has; those above are refused, see [`crate::layer`].
const ROOTS_COUNT: u32 = 0x1000_0000;
/// Where they begin in a namespace, whose user 0 is the person who builds.
const FIRST_IN_NAMESPACE: u32 = 1;
/// What the system says of a namespace that has all users: the first one.
const ALL_USERS: u32 = u32::MAX;

/// The range of the users of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owners {
    first: u32,
    count: u32,
    is_rootless: bool,
}

/// The user of this machine, or of this process's namespace, that is user 0 of every image.
pub(crate) fn first_owner() -> u32 {
    owners().first
}

/// How many users an image has.
pub(crate) fn owners_count() -> u32 {
    owners().count
}

/// Whether this process is root of a namespace only: it has no control groups and reads no
/// `trusted` attribute.
pub(crate) fn is_rootless() -> bool {
    owners().is_rootless
}

fn owners() -> Owners {
    static OWNERS: OnceLock<Owners> = OnceLock::new();
    *OWNERS.get_or_init(|| {
        let map = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        let read = |name: &str| of_map(&map(name).unwrap_or_default());
        let (users, groups) = (read("uid_map"), read("gid_map"));
        if users.count < groups.count { users } else { groups }
    })
}

/// Reads `/proc/self/uid_map`: lines of the first id inside, the first outside, and how many.
fn of_map(text: &str) -> Owners {
    let extents = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
        let (inside, _, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some((inside, count))
    });
    let extents: Vec<(u32, u32)> = extents.collect();
    if extents.contains(&(0, ALL_USERS)) {
        return Owners { first: ROOTS_FIRST, count: ROOTS_COUNT, is_rootless: false };
    }
    let end = |&(inside, count): &(u32, u32)| inside.saturating_add(count);
    let holds =
        |extent: &&(u32, u32)| extent.0 <= FIRST_IN_NAMESPACE && FIRST_IN_NAMESPACE < end(extent);
    let count = extents.iter().find(holds).map_or(0, |extent| end(extent) - FIRST_IN_NAMESPACE);
    Owners { first: FIRST_IN_NAMESPACE, count, is_rootless: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_the_users_that_it_was_given() {
        let of = |text| {
            let owners = of_map(text);
            (owners.first, owners.count, owners.is_rootless)
        };
        assert_eq!(of("         0          0 4294967295\n"), (ROOTS_FIRST, ROOTS_COUNT, false));
        assert_eq!(of("0 1000 1\n1 100000 65536\n"), (1, 65_536, true));
        assert_eq!(of("0 100000 65536\n"), (1, 65_535, true));
        assert_eq!(of("0 1000 1\n"), (1, 0, true));
        assert_eq!(of(""), (1, 0, true));
    }
}
