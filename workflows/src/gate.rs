//! The gate: whether a commit of a dist-git repository can be built, and as what, before any
//! compute is spent.
//!
//! Three steps, because the parents' variables may stand in labels: [`inspect`] looks at the
//! files, the caller asks registries for [`Inspection::images`], and [`Inspection::finish`] tells
//! either what will be built or every problem at once, in a packager's words.

mod files;
mod images;
mod instructions;
mod naming;
mod problem;
mod report;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::BTreeMap;

use crate::dockerfile::{Dockerfile, LayeredLabels};
use crate::image::{BuildMode, Reference, Tag};
use crate::release::ReleasePolicy;
pub use files::{RebuildWishes, wanted};
pub use images::admit;
use problem::Problems;
pub use problem::{Problem, Refusal};
pub use report::diagnose;

/// Most images that one Dockerfile may name; each is a look into a registry.
pub const MAX_IMAGES: usize = 64;
/// Most stages of one Dockerfile; the environment of each is worked out.
pub const MAX_STAGES: usize = 64;
/// The architecture that images are built for, as packages and labels call it.
pub const ARCHITECTURE: &str = "x86_64";

/// The layered build as a workflow asks for it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The Dockerfile, below the repository's root.
    pub dockerfile: String,
    /// The context directory; empty for the root.
    pub context: String,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Which tags and which records.
    pub mode: BuildMode,
    /// A release from the workflow, over the label.
    pub release: Option<String>,
    /// Whether the workflow itself asks for rebuilds: `on: parent-image`.
    pub follows_parents: bool,
}

/// What stands at a path of the commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    #[default]
    Missing,
    /// A file of UTF-8 text.
    Text(String),
    /// A file of something else.
    NotText,
    /// A file above the bound that [`wanted`] gives.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A symbolic link.
    Symlink,
    /// A directory or a submodule.
    NotAFile,
}

/// What a repository's files are judged by beyond their form.
#[derive(Debug, Clone, Copy)]
pub enum Admission<'a> {
    /// The rules of the release, and the registries that the operator allows.
    ByRelease(&'a [String]),
    /// Nothing: nobody could be asked for the rules, and a guess would refuse what they allow.
    FormOnly,
}

/// The files that the gate reads.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Names in the repository's root.
    pub root: Vec<String>,
    /// Whether there are more of them than are looked at.
    pub root_is_cut: bool,
    /// What stands at each path of [`wanted`]; a path that is left out is missing.
    pub contents: BTreeMap<String, Content>,
}

/// What a build on an image inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParentFacts {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Instructions that it keeps for those that stand on it (ONBUILD).
    pub on_build: Vec<String>,
}

/// An image to be pinned: allowed, and named in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageToPin {
    /// As the Dockerfile names it.
    pub written: String,
    /// The complete reference.
    pub reference: Reference,
    /// Line of the Dockerfile.
    pub line: usize,
    /// The stage that stands on it; `None` when it is named elsewhere than in a FROM line.
    pub stage: Option<usize>,
}

/// A repository that was looked at, with the problems so far.
#[derive(Debug, Clone)]
pub struct Inspection {
    asked: Asked,
    release: ReleasePolicy,
    problems: Problems,
    file: Option<Dockerfile>,
    images: Vec<ImageToPin>,
    wishes: files::Wishes,
}

/// A build that may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gated {
    /// The labels that name the image.
    pub labels: LayeredLabels,
    /// The release that was given; `None` takes the next free number.
    pub release: Option<String>,
    /// Where the release was given, for whoever finds that it exists.
    pub release_place: String,
    /// The stage whose parent the image inherits from; `None` for an image from nothing.
    pub base_stage: Option<usize>,
    /// Labels that the Dockerfile sets itself.
    pub own_labels: BTreeMap<String, String>,
    /// Labels of the parent.
    pub inherited_labels: BTreeMap<String, String>,
    /// Floating tags; none unless it is a release build.
    pub floating: Vec<Tag>,
    /// Variable that holds the release in every stage.
    pub release_env: Option<String>,
    /// Longest time that the job may take, in seconds.
    pub time_limit_seconds: Option<u64>,
    /// What `.osbs-repo-config` says about rebuilds.
    pub autorebuild: Option<bool>,
    /// What `container.yaml` says about them.
    pub rebuild: RebuildWishes,
    /// What has no effect here although somebody wrote it; for the log.
    pub notes: Vec<String>,
}

/// Looks at a repository's files.
#[must_use]
pub fn inspect(
    asked: Asked,
    files: &Files,
    release: ReleasePolicy,
    admission: Admission<'_>,
) -> Inspection {
    let mut problems = Problems::default();
    let wishes = files::read(&asked, files, &release, admission, &mut problems);
    let mut inspection =
        Inspection { asked, release, problems, file: None, images: Vec::new(), wishes };
    inspection.look_at_dockerfile(files, admission);
    inspection
}

impl Inspection {
    /// The images to be pinned, in the order of the file.
    #[must_use]
    pub fn images(&self) -> &[ImageToPin] {
        &self.images
    }

    /// The Dockerfile's path.
    #[must_use]
    pub fn dockerfile(&self) -> &str {
        &self.asked.dockerfile
    }

    /// Adds what a registry said about the image that a line of the Dockerfile names.
    pub fn add_problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.add(&self.asked.dockerfile, line, message);
    }

    /// Adds a word for the log about what a line of the Dockerfile names.
    pub fn add_note(&mut self, line: usize, message: impl Into<String>) {
        self.wishes.notes.add(&self.asked.dockerfile, line, message);
    }

    /// What has no effect although somebody wrote it.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        self.wishes.notes.as_slice()
    }

    /// Whether the build is refused already.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.problems.is_empty()
    }

    /// What will be built. `parents` holds the facts of the images that stages stand on, by
    /// stage; what cannot be told without a missing one is left out.
    ///
    /// # Errors
    /// [`Refusal`] with every problem.
    pub fn finish(mut self, parents: &BTreeMap<usize, ParentFacts>) -> Result<Gated, Refusal> {
        let mut parents = parents.clone();
        let named = self.file.take().and_then(|mut file| {
            self.carry_out_triggers(&mut file, &mut parents);
            let policy = &self.release.policy;
            let check = instructions::Check { asked: &self.asked, policy };
            check.look(&file, &parents, &mut self.problems);
            self.name_image(&file, &parents)
        });
        let Some(named) = named.filter(|_| self.problems.is_empty()) else {
            return Err(self.problems.refusal(&self.asked.dockerfile));
        };
        let floating = match self.asked.mode {
            BuildMode::Release => self.floating_tags(&named.labels.version),
            BuildMode::Scratch | BuildMode::Isolated => Vec::new(),
        };
        Ok(Gated {
            labels: named.labels,
            release: named.release,
            release_place: named.release_place,
            base_stage: named.base_stage,
            own_labels: named.own,
            inherited_labels: named.inherited,
            floating,
            release_env: self.wishes.release_env,
            time_limit_seconds: self.wishes.time_limit_seconds,
            autorebuild: self.wishes.autorebuild,
            rebuild: self.wishes.rebuild,
            notes: self.wishes.notes.as_slice().iter().map(Problem::to_string).collect(),
        })
    }

    /// The repository's own tags in the place of the release's, or beside them.
    fn floating_tags(&self, version: &str) -> Vec<Tag> {
        let mut tags = Vec::new();
        let mut add = |tag: Tag| {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        };
        if let Some(own) = &self.wishes.tags {
            own.iter().cloned().for_each(add);
            return tags;
        }
        let is_stable = |text: &&str| self.release.stable_tags.iter().any(|t| t.as_str() == *text);
        let defaults =
            std::iter::once(version).chain(self.release.floating_tags.iter().map(String::as_str));
        let defaults = defaults.filter(|text| !is_stable(text));
        defaults.filter_map(|text| Tag::parse(text).ok()).for_each(&mut add);
        self.wishes.additional_tags.iter().cloned().for_each(add);
        tags
    }

    /// Registry of image names without a host.
    fn source_registry(&self) -> &str {
        self.release.source_registry()
    }
}
