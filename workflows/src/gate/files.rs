//! The files beside the Dockerfile: what they wish for, and what is wrong with them.

use super::problem::Problems;
use super::{ARCHITECTURE, Admission, Asked, Content, Files};
use crate::artifacts::{self, ARTIFACTS_FILE, MAX_ARTIFACTS_BYTES};
use crate::container_yaml::{ContainerYaml, MAX_CONTAINER_YAML_BYTES, Platforms};
use crate::dist_git::{self, MAX_SMALL_FILE_BYTES};
use crate::dockerfile::ignore::{Ignore, MAX_IGNORE_BYTES};
use crate::dockerfile::{DOCKER_ARCHITECTURE, MAX_DOCKERFILE_BYTES};
use crate::help::{HELP_FILE, MAX_HELP_BYTES};
use crate::image::Tag;
use crate::lookaside::{MAX_SOURCES_BYTES, Sources};
use crate::release::ReleasePolicy;

/// What the root of the repository is called in a note.
const ROOT: &str = ".";
const CONTAINER_YAML: &str = "container.yaml";
const ADDITIONAL_TAGS: &str = "additional-tags";
const REPO_CONFIG: &str = ".osbs-repo-config";
const SOURCES: &str = "sources";
/// Forms of artifacts that only their own services can resolve.
const OTHER_ARTIFACTS: [&str; 2] = ["fetch-artifacts-koji.yaml", "fetch-artifacts-pnc.yaml"];
/// What a compose would be made of; here the release says where packages come from.
const CONTENT_SETS: &str = "content_sets.yml";

/// What the small files ask of a build.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    /// Floating tags in the place of the release's own.
    pub(super) tags: Option<Vec<Tag>>,
    /// Floating tags beside the release's own.
    pub(super) additional_tags: Vec<Tag>,
    pub(super) release_env: Option<String>,
    pub(super) time_limit_seconds: Option<u64>,
    pub(super) autorebuild: Option<bool>,
    pub(super) rebuild: RebuildWishes,
    /// What has no effect although somebody wrote it.
    pub(super) notes: Problems,
}

/// What `container.yaml` says of rebuilds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildWishes {
    /// Build the head of the branch, or the commit that was built last; `None` for what the
    /// release chooses.
    pub from_latest: Option<bool>,
    /// Put the time behind the release that the packager gives.
    pub add_timestamp: bool,
}

/// The files to read for a build, each with the most bytes that are of use.
#[must_use]
pub fn wanted(asked: &Asked) -> Vec<(String, usize)> {
    let mut wanted = vec![
        (asked.dockerfile.clone(), MAX_DOCKERFILE_BYTES),
        (CONTAINER_YAML.to_owned(), MAX_CONTAINER_YAML_BYTES),
        (ADDITIONAL_TAGS.to_owned(), MAX_SMALL_FILE_BYTES),
        (REPO_CONFIG.to_owned(), MAX_SMALL_FILE_BYTES),
        (SOURCES.to_owned(), MAX_SOURCES_BYTES),
        (ARTIFACTS_FILE.to_owned(), MAX_ARTIFACTS_BYTES),
        (HELP_FILE.to_owned(), MAX_HELP_BYTES),
    ];
    wanted.extend(ignore_files(asked).map(|path| (path, MAX_IGNORE_BYTES)));
    wanted
}

/// The Dockerfile's own list of what the build does not see, and that of the context.
fn ignore_files(asked: &Asked) -> [String; 2] {
    let of_context = match asked.context.as_str() {
        "" => ".dockerignore".to_owned(),
        context => format!("{context}/.dockerignore"),
    };
    [format!("{}.dockerignore", asked.dockerfile), of_context]
}

/// Reads all of them.
pub(super) fn read(
    asked: &Asked,
    files: &Files,
    release: &ReleasePolicy,
    admission: Admission<'_>,
    problems: &mut Problems,
) -> Wishes {
    for name in &files.root {
        if let Some(meant) = dist_git::misspelt(name) {
            problems.add(name, 0, format!("this name has no effect; the file is called {meant}"));
        }
    }
    let mut wishes = Wishes::default();
    if files.root_is_cut {
        let message = "too many names here to look for misspelt ones";
        wishes.notes.add(ROOT, 0, message);
    }
    if let Some(text) = text(files, CONTAINER_YAML, MAX_CONTAINER_YAML_BYTES, problems) {
        wishes.container_yaml(text, problems);
        let own = wishes.tags.iter().flatten();
        refuse_stable(own, CONTAINER_YAML, line_of_key(text, "tags"), release, problems);
    }
    if let Some(text) = text(files, ADDITIONAL_TAGS, MAX_SMALL_FILE_BYTES, problems) {
        wishes.additional_tags(text);
        refuse_stable(wishes.additional_tags.iter(), ADDITIONAL_TAGS, 0, release, problems);
    }
    if let Some(text) = text(files, REPO_CONFIG, MAX_SMALL_FILE_BYTES, problems) {
        match dist_git::autorebuild_enabled(text) {
            Ok(enabled) => wishes.autorebuild = enabled,
            Err(error) => problems.add(REPO_CONFIG, error.line, error.message),
        }
    }
    if let Some(text) = text(files, SOURCES, MAX_SOURCES_BYTES, problems) {
        sources(text, release, admission, problems);
    }
    if let Some(text) = text(files, ARTIFACTS_FILE, MAX_ARTIFACTS_BYTES, problems) {
        artifacts(text, release, admission, problems);
    }
    for name in OTHER_ARTIFACTS.iter().filter(|name| files.root.iter().any(|own| own == *name)) {
        wishes.notes.add(name, 0, format!("has no effect here; only {ARTIFACTS_FILE} has"));
    }
    if files.root.iter().any(|own| own == CONTENT_SETS) {
        let why = "has no effect here; packages come from the repositories of the release";
        wishes.notes.add(CONTENT_SETS, 0, why);
    }
    text(files, HELP_FILE, MAX_HELP_BYTES, problems);
    for path in ignore_files(asked) {
        if let Some(text) = text(files, &path, MAX_IGNORE_BYTES, problems)
            && let Err(error) = Ignore::parse(text)
        {
            problems.add(&path, error.line, error.message);
        }
    }
    wishes
}

/// A build that moved a stable tag would promote itself.
fn refuse_stable<'a>(
    mut tags: impl Iterator<Item = &'a Tag>,
    path: &str,
    line: usize,
    release: &ReleasePolicy,
    problems: &mut Problems,
) {
    if let Some(tag) = tags.find(|tag| release.stable_tags.contains(tag)) {
        let message = format!(
            "tag `{tag}` is one of the stable tags of release {}, which only `strata promote` moves",
            release.name
        );
        problems.add(path, line, message);
    }
}

/// Whether the release has and takes what `sources` lists, before anything runs.
fn sources(text: &str, release: &ReleasePolicy, admission: Admission<'_>, problems: &mut Problems) {
    let sources = match Sources::parse(text) {
        Ok(sources) => sources,
        Err(error) => return problems.add(SOURCES, error.line, error.message),
    };
    if matches!(admission, Admission::FormOnly) {
        return;
    }
    let Some(lookaside) = &release.lookaside else {
        if let Some(first) = sources.entries.first() {
            let message = format!("release {} has no lookaside cache", release.name);
            problems.add(SOURCES, Sources::line_of(text, first), message);
        }
        return;
    };
    for source in &sources.entries {
        if let Err(why) = lookaside.admit(source) {
            problems.add(SOURCES, Sources::line_of(text, source), why);
        }
    }
}

/// The same for files from elsewhere.
fn artifacts(
    text: &str,
    release: &ReleasePolicy,
    admission: Admission<'_>,
    problems: &mut Problems,
) {
    let artifacts = match artifacts::parse(text) {
        Ok(artifacts) => artifacts,
        Err(error) => return problems.add(ARTIFACTS_FILE, error.line, error.message),
    };
    if matches!(admission, Admission::FormOnly) {
        return;
    }
    for artifact in &artifacts {
        let admitted = match &release.artifacts {
            Some(spec) => spec.admit(artifact),
            None => Err(format!("release {} takes no files from URLs", release.name)),
        };
        if let Err(why) = admitted {
            problems.add(ARTIFACTS_FILE, artifact.line, why);
        }
    }
}

impl Wishes {
    fn container_yaml(&mut self, text: &str, problems: &mut Problems) {
        let file = match ContainerYaml::parse(text) {
            Ok(file) => file,
            Err(error) => {
                let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                let at = (number(error.line), number(error.column));
                problems.add_at(CONTAINER_YAML, at, error.message);
                return;
            }
        };
        let ignored = file.without_effect();
        let ignored: Vec<&str> = ignored
            .into_iter()
            .chain(file.operator_manifests.is_some().then_some("operator_manifests"))
            .chain(file.remote_source.is_some().then_some("remote_source"))
            .chain(file.remote_sources.is_some().then_some("remote_sources"))
            .collect();
        for key in ignored {
            let message = format!("{key} has no effect here");
            self.notes.add(CONTAINER_YAML, line_of_key(text, key), message);
        }
        if let Some(platforms) = file.platforms {
            self.platforms(&platforms, line_of_key(text, "platforms"), problems);
        }
        if let Some(rebuild) = &file.autorebuild {
            self.rebuild = RebuildWishes {
                from_latest: rebuild.from_latest,
                add_timestamp: rebuild.add_timestamp_to_release == Some(true),
            };
        }
        self.tags = file.tags;
        self.release_env = file.set_release_env.map(|name| name.as_str().to_owned());
        // Zero is how the schema says that there is no limit of the repository's own.
        self.time_limit_seconds = file.buildtime_limit.filter(|&seconds| seconds > 0);
    }

    /// `only` and `not` choose among what is offered; a build for nothing is refused.
    fn platforms(&mut self, platforms: &Platforms, line: usize, problems: &mut Problems) {
        let offered = [ARCHITECTURE.to_owned(), DOCKER_ARCHITECTURE.to_owned()];
        let excluded = platforms.not.iter().flatten().any(|name| offered.contains(name));
        let chosen = platforms.select(&offered);
        if chosen.is_empty() || excluded {
            let message = format!(
                "`platforms` leaves nothing to build for: images are built for {ARCHITECTURE} only"
            );
            problems.add(CONTAINER_YAML, line, message);
            return;
        }
        let others = platforms.only.iter().flatten().filter(|name| !offered.contains(name));
        let others: Vec<&str> = others.map(String::as_str).collect();
        if !others.is_empty() {
            let message =
                format!("images are built for {ARCHITECTURE} only, not for {}", others.join(", "));
            self.notes.add(CONTAINER_YAML, line, message);
        }
    }

    fn additional_tags(&mut self, text: &str) {
        if self.tags.is_some() {
            let message = "has no effect beside `tags` in container.yaml";
            self.notes.add(ADDITIONAL_TAGS, 0, message);
            return;
        }
        let found = dist_git::additional_tags(text);
        self.additional_tags = found.tags;
        for line in found.unusable_lines {
            let message = "this is no tag here: letters, digits, `_` and `.` only";
            self.notes.add(ADDITIONAL_TAGS, line, message);
        }
    }
}

/// The line of a key at the top of a YAML file; 0 when it is written in another way.
fn line_of_key(text: &str, key: &str) -> usize {
    let is_key =
        |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
    text.lines().position(is_key).map_or(0, |index| index + 1)
}

/// The text of a file that may be missing.
pub(super) fn text<'a>(
    files: &'a Files,
    path: &str,
    limit: usize,
    problems: &mut Problems,
) -> Option<&'a str> {
    let message = match files.contents.get(path)? {
        Content::Missing => return None,
        Content::Text(text) => return Some(text),
        Content::NotText => "the file is not UTF-8 text".to_owned(),
        Content::TooLarge { bytes } => {
            format!("the file has {bytes} bytes; at most {limit} are read")
        }
        Content::Symlink => "a symbolic link is refused; put the file itself here".to_owned(),
        Content::NotAFile => "this is not a file".to_owned(),
    };
    problems.add(path, 0, message);
    None
}
