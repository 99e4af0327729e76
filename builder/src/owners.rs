//! Whose the files of images are on this machine.
//!
//! User 0 of an image owns its files as [`first_owner`], so that neither a process in the sandbox
//! nor a file in the store ever belongs to a user of the machine. Root takes a range far above
//! those that distributions give to people. A user who is not root has the range that
//! `/etc/subuid` gives, in a namespace of its own, see [`crate::in_user_namespace`].

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the users of images begin when root builds.
const ROOTS_FIRST: u32 = 0x6000_0000;
/// How many users an image then has; those above are refused. Clusters give out users such as
/// 1000650000 and directory services such up to 2·10⁹, hence nearly all that the system can count.
const ROOTS_COUNT: u32 = 0x9000_0000;
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

/// The user of this machine that is that user or group of every image; `at` is the file whose it is.
pub(crate) fn owner_here(id: u64, at: Option<PathBuf>) -> Result<u32, TooHigh> {
    let Owners { first, count, is_rootless } = owners();
    let known = u32::try_from(id).ok().filter(|&id| id < count);
    known.map(|id| first + id).ok_or(TooHigh { id, at, count, is_rootless })
}

/// A user or group of an image for whom this machine has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooHigh {
    id: u64,
    at: Option<PathBuf>,
    count: u32,
    is_rootless: bool,
}

impl std::error::Error for TooHigh {}

impl fmt::Display for TooHigh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.at {
            write!(f, "{}: ", path.display())?;
        }
        let last = self.count.saturating_sub(1);
        write!(f, "user or group {} is above {last}, the last one of images here; ", self.id)?;
        f.write_str(if self.is_rootless {
            "a longer range in /etc/subuid and /etc/subgid allows more, and so does a build as root"
        } else {
            "take a lower one"
        })
    }
}

impl From<TooHigh> for io::Error {
    fn from(error: TooHigh) -> Self {
        Self::other(error)
    }
}

/// Whether something was refused for its owner: the author's fault, not the machine's.
pub(crate) fn is_too_high(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooHigh>())
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
    fn owners_of_clusters_and_directories_are_taken_and_the_others_explained() {
        let Owners { first, count, .. } = of_map("0 0 4294967295");
        assert!(first.checked_add(count).is_some_and(|end| end < u32::MAX), "it ends too late");
        assert!(count > 2_000_400_000, "some directory gives out users above");
        let told = |is_rootless| {
            let at = Some("srv/x".into());
            TooHigh { id: 70_000, at, count: 65_536, is_rootless }.to_string()
        };
        let beginning = "srv/x: user or group 70000 is above 65535, the last one of images here; ";
        assert_eq!(told(false), format!("{beginning}take a lower one"));
        assert!(told(true).contains("/etc/subuid"));
        assert!(owner_here(u64::MAX, None).is_err_and(|error| is_too_high(&error.into())));
    }

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
