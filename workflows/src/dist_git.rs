//! The small files that a dist-git repository may hold beside its Dockerfile.

use crate::artifacts::ARTIFACTS_FILE;
use crate::image::Tag;

/// Longest of these files that is read, in bytes.
pub const MAX_SMALL_FILE_BYTES: usize = 64 * 1024;
/// Longest tag in `additional-tags`.
const MAX_ADDITIONAL_TAG_BYTES: usize = 127;

/// The name that was meant, for a file that would otherwise be silently ignored.
#[must_use]
pub fn misspelt(file_name: &str) -> Option<&'static str> {
    /// Names that nothing else bears, so that a near one is a slip.
    const KNOWN: [&str; 5] = [
        "container.yaml",
        "content_sets.yml",
        "additional-tags",
        ".osbs-repo-config",
        ARTIFACTS_FILE,
    ];
    let same = |known: &&str| plain(known) == plain(file_name);
    KNOWN.into_iter().find(same).filter(|known| *known != file_name)
}

/// A name without what people mix up: capitals, `-` and `_`, `.yml` and `.yaml`.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name.strip_suffix(".yml").map_or(name.clone(), |stem| format!("{stem}.yaml"))
}

/// The tags of an `additional-tags` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdditionalTags {
    /// Usable tags, in order, each once.
    pub tags: Vec<Tag>,
    /// Line numbers, from 1, of what is no tag here and has no effect; to be told as warnings.
    pub unusable_lines: Vec<usize>,
}

/// Reads `additional-tags`: one tag a line, letters, digits, `_` and `.` only. The file is
/// deprecated and has no effect beside `tags` in `container.yaml`. Of a file longer than
/// [`MAX_SMALL_FILE_BYTES`] only the lines before that bound count.
#[must_use]
pub fn additional_tags(text: &str) -> AdditionalTags {
    let mut found = AdditionalTags::default();
    let mut read_bytes = 0;
    for (index, line) in text.lines().enumerate() {
        read_bytes += line.len() + 1;
        let word = line.trim();
        if word.is_empty() {
            continue;
        }
        let is_allowed = word.len() <= MAX_ADDITIONAL_TAG_BYTES && !word.contains('-');
        match Tag::parse(word) {
            Ok(tag) if is_allowed && read_bytes <= MAX_SMALL_FILE_BYTES => {
                if !found.tags.contains(&tag) {
                    found.tags.push(tag);
                }
            }
            _ => found.unusable_lines.push(index + 1),
        }
    }
    found
}

/// What is wrong with a `.osbs-repo-config`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(".osbs-repo-config line {line}: {message}")]
pub struct RepoConfigError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Whether a `.osbs-repo-config` asks for rebuilds when a parent image changes: `enabled` in its
/// section `autorebuild`. `None` when the file does not say.
///
/// # Errors
/// [`RepoConfigError`] for a line that is no INI and for a value that Python's `getboolean`, which
/// read these files first, does not take. Other sections and keys are not looked at, nor are the
/// further lines of a value, which are indented.
pub fn autorebuild_enabled(text: &str) -> Result<Option<bool>, RepoConfigError> {
    let failed = |line: usize, message: &str| RepoConfigError { line, message: message.to_owned() };
    if text.len() > MAX_SMALL_FILE_BYTES {
        return Err(failed(1, "the file is too long"));
    }
    let mut section = "";
    let mut enabled = None;
    let mut has_value = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let goes_on = has_value && line.starts_with([' ', '\t']);
        let line = line.trim();
        if goes_on {
            continue;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name
                .strip_suffix(']')
                .ok_or_else(|| failed(number, "a section is written as [name]"))?;
            has_value = false;
            continue;
        }
        let (key, value) = line
            .split_once(['=', ':'])
            .filter(|_| !section.is_empty())
            .ok_or_else(|| failed(number, "expected key = value in a section"))?;
        has_value = true;
        if section != "autorebuild" || !key.trim().eq_ignore_ascii_case("enabled") {
            continue;
        }
        enabled = match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => return Err(failed(number, "enabled is 0, 1, true, false, yes, no, on or off")),
        };
    }
    Ok(enabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_files_are_told() {
        for (slip, meant) in [
            ("container.yml", Some("container.yaml")),
            ("Container.yaml", Some("container.yaml")),
            ("content_sets.yaml", Some("content_sets.yml")),
            ("content-sets.yml", Some("content_sets.yml")),
            ("content-sets.yaml", Some("content_sets.yml")),
            ("additional_tags", Some("additional-tags")),
            (".osbs_repo_config", Some(".osbs-repo-config")),
            ("fetch-artifacts-url.yml", Some("fetch-artifacts-url.yaml")),
            ("fetch_artifacts_url.yaml", Some("fetch-artifacts-url.yaml")),
            ("fetch-artifacts-koji.yml", None),
            ("container.yaml", None),
            ("content_sets.yml", None),
            ("additional-tags", None),
            ("containers.yaml", None),
            ("yml", None),
        ] {
            assert_eq!(misspelt(slip), meant, "{slip}");
        }
    }

    #[test]
    fn bad_tags_are_skipped_and_told() {
        let found = additional_tags("latest\n1.0\n\n spaced \na-b\nlatest\n.x\na b\n");
        let tags: Vec<&str> = found.tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, ["latest", "1.0", "spaced"]);
        assert_eq!(found.unusable_lines, [5, 7, 8]);
        assert!(!additional_tags(&"a\n".repeat(MAX_SMALL_FILE_BYTES)).unusable_lines.is_empty());
    }

    #[test]
    fn rebuilds_are_asked_for_or_not() {
        let text = "# c\n[other]\nenabled = x\n[autorebuild]\nEnabled: True\n";
        assert_eq!(autorebuild_enabled(text), Ok(Some(true)));
        for (word, expected) in [("0", false), ("No", false), ("off", false), ("yes", true)] {
            let text = format!("[a]\nb = c\n  d\n[autorebuild]\nenabled={word}\n");
            assert_eq!(autorebuild_enabled(&text), Ok(Some(expected)), "{word}");
        }
        assert_eq!(autorebuild_enabled(""), Ok(None));
        for (bad, line) in
            [("[autorebuild]\nenabled=perhaps", 2), ("enabled=1", 1), ("\n[a", 2), ("[a]\nx", 2)]
        {
            assert_eq!(autorebuild_enabled(bad).unwrap_err().line, line, "{bad}");
        }
    }
}
