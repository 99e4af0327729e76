//! `RUN --mount`: what a command sees besides the image.

use std::path::Path;

use workflows::dockerfile::{Mount, MountKind};

use crate::confine::Memory;

/// Reads mounts; the error is a sentence about what this builder does not do.
pub(crate) fn memory(mounts: &[Mount], workdir: &str) -> Result<Vec<Memory>, String> {
    mounts.iter().map(|mount| one(mount, workdir)).collect()
}

fn one(mount: &Mount, workdir: &str) -> Result<Memory, String> {
    let name = match mount.kind {
        MountKind::Tmpfs => return tmpfs(mount, workdir),
        MountKind::Bind => "bind",
        MountKind::Cache => "cache",
        MountKind::Secret => "secret",
        MountKind::Ssh => "ssh",
    };
    Err(format!("--mount=type={name} is not supported by this builder; only tmpfs is"))
}

fn tmpfs(mount: &Mount, workdir: &str) -> Result<Memory, String> {
    let target = mount.target.as_deref().ok_or("--mount=type=tmpfs needs a target")?;
    if target.contains('$') {
        return Err("--mount: variables in a target are not expanded".to_owned());
    }
    let target = Path::new("/").join(workdir.trim_start_matches('/')).join(target);
    let mut max_bytes = None;
    for (option, value) in &mount.other {
        match option.as_str() {
            "size" => max_bytes = Some(bytes(value)?),
            other => return Err(format!("--mount=type=tmpfs: `{other}` is not supported")),
        }
    }
    Ok(Memory { target: target.to_string_lossy().into_owned(), max_bytes })
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
}
