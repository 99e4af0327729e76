//! The options of a mount, read once and with their defaults.

use std::path::{Component, Path, PathBuf};

use workflows::dockerfile::Mount;

use crate::owners::owners_count;
use crate::stage::steps::Fault;

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// One; another one gets an empty cache of its own.
    Private,
    /// One; another one waits.
    Locked,
}

/// What the options say.
#[derive(Debug, Default)]
pub(super) struct Options {
    target: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) sharing: Sharing,
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) env: Option<String>,
}

impl Options {
    /// Reads them; the error is a sentence.
    pub(super) fn read(mount: &Mount, workdir: &str) -> Result<Self, String> {
        let target = mount.target.as_deref().map(|target| absolute(target, workdir));
        let mut options = Self { target: target.transpose()?, ..Self::default() };
        for (name, value) in &mount.other {
            let wrong = || format!("--mount: {name}={value} cannot be");
            match name.as_str() {
                "size" => options.size = Some(bytes(value)?),
                "mode" => {
                    let mode = u32::from_str_radix(value, 8).ok().filter(|&mode| mode <= 0o7777);
                    options.mode = Some(mode.ok_or_else(wrong)?);
                }
                "uid" | "gid" => {
                    let id = value.parse().ok().filter(|&id: &u32| id < owners_count());
                    let id = id.ok_or_else(wrong)?;
                    *(if name == "uid" { &mut options.uid } else { &mut options.gid }) = id;
                }
                "sharing" => {
                    options.sharing = match value.as_str() {
                        "shared" => Sharing::Shared,
                        "private" => Sharing::Private,
                        "locked" => Sharing::Locked,
                        _ => return Err(wrong()),
                    };
                }
                "env" => options.env = Some(value.clone()).filter(|name| is_name(name)),
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }

    /// The place in the image.
    pub(super) fn target(&self) -> Result<String, Fault> {
        let target = self.target.clone();
        target.ok_or_else(|| Fault::User("--mount needs a target".to_owned()))
    }

    pub(super) fn target_or(&self, default: impl FnOnce() -> String) -> String {
        self.target.clone().unwrap_or_else(default)
    }

    pub(super) fn has_target(&self) -> bool {
        self.target.is_some()
    }
}

/// Whether a shell can name a variable so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A target below the working directory, without `.` and `..`; the root itself is none.
fn absolute(target: &str, workdir: &str) -> Result<String, String> {
    let joined = Path::new("/").join(workdir.trim_start_matches('/')).join(target);
    let mut path = PathBuf::from("/");
    for part in joined.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => {
                path.pop();
            }
            _ => {}
        }
    }
    if path == Path::new("/") {
        return Err("--mount: the target is the root of the image".to_owned());
    }
    Ok(path.to_string_lossy().into_owned())
}

/// `64m` and the like.
fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return Err(format!("`{text}` is no size such as 64m")),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is no size such as 64m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("1GB"), Ok(1 << 30));
        assert_eq!(bytes("7"), Ok(7));
        assert!(bytes("m").is_err());
        assert!(bytes("1x").is_err());
    }

    #[test]
    fn targets_lie_below_the_root() {
        assert_eq!(absolute("x", "/w"), Ok("/w/x".to_owned()));
        assert_eq!(absolute("/a/../b/./c", "/w"), Ok("/b/c".to_owned()));
        assert_eq!(absolute("../../../x", "/w"), Ok("/x".to_owned()));
        assert!(absolute("/", "/w").is_err());
        assert!(absolute("..", "/w").is_err());
    }
}
