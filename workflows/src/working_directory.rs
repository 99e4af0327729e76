//! Where the commands of a step run, as `working-directory` says it.

/// Directories of the kernel, in which a path may lead to what a process has open and not to a
/// place of the container.
const OF_THE_KERNEL: [&str; 3] = ["proc", "sys", "dev"];

/// A path without parts that say nothing: below the workspace, or with a slash before it anywhere
/// in the container that the commands run in.
///
/// # Errors
/// In words what is wrong with it, to stand behind its name.
pub fn read(written: &str) -> Result<String, &'static str> {
    let path = written.trim();
    if path.contains(char::is_control) {
        return Err("has a control character");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err("leads up with `..`");
    }
    if !path.starts_with('/') {
        return Ok(parts.join("/"));
    }
    if parts.first().is_some_and(|first| OF_THE_KERNEL.contains(first)) {
        return Err("is a place of the kernel");
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_below_the_workspace_or_anywhere_in_the_container() {
        for (written, expected) in [
            ("", ""),
            (".", ""),
            (" ./a//b/ ", "a/b"),
            ("/", "/"),
            ("/tmp/./x/", "/tmp/x"),
            ("/workspace/a", "/workspace/a"),
            ("proc/x", "proc/x"),
        ] {
            assert_eq!(read(written).as_deref(), Ok(expected), "{written:?}");
        }
        for bad in ["..", "a/../..", "/tmp/../etc", "/proc/self/fd/7", "//dev/fd/7", "/sys", "a\0"]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
