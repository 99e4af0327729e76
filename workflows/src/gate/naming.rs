//! What the image will be called.

use std::collections::{BTreeMap, BTreeSet};

use super::images::in_words;
use super::{Inspection, ParentFacts};
use crate::dockerfile::{
    self, Dockerfile, DockerfileError, Fallback, InstructionKind, LabelError, LayeredLabels,
    StageBase, old_spelling,
};
use crate::image::{BuildMode, MAX_TAG_BYTES};
use crate::labels::{IDENTITY, check_scope};
use crate::nvr;

/// Where a release stands that the workflow, or the person who asked, gives.
const IN_STEP: &str = "the release that was asked for";
/// Two releases of which no part is the same, to see what is made of one.
const RELEASES: [&str; 2] = ["1.a", "2.b"];
/// Digits that a number of our own choice may have.
const MAX_NUMBER_DIGITS: usize = 10;

/// An image's names.
pub(super) struct Named {
    pub(super) labels: LayeredLabels,
    pub(super) release: Option<String>,
    pub(super) release_place: String,
    pub(super) base_stage: Option<usize>,
    pub(super) own: BTreeMap<String, String>,
    pub(super) inherited: BTreeMap<String, String>,
}

impl Inspection {
    /// Reads the labels; `None` with problems when they name nothing.
    pub(super) fn name_image(
        &mut self,
        file: &Dockerfile,
        parents: &BTreeMap<usize, ParentFacts>,
    ) -> Option<Named> {
        let path = self.asked.dockerfile.clone();
        let args = self.asked.build_args.clone();
        // The caller read the FROM lines with these arguments before.
        let chain = file.chain(&args).ok()?;
        let first = chain.first()?.index;
        let on_scratch = file.bases(&args).ok()?.get(first) == Some(&StageBase::Scratch);
        let parent =
            if on_scratch { Some(ParentFacts::default()) } else { parents.get(&first).cloned() };
        let known = parent.is_some();
        let parent = parent.unwrap_or_default();
        let mut own = match self.own_labels(file, &parent.env, RELEASES[0]) {
            Ok(own) => own,
            Err(error) => {
                if known {
                    self.problems.add(&path, error.line, in_words(&error));
                }
                return None;
            }
        };
        self.leave_out_what_the_release_makes(file, &parent.env, &mut own);
        // An inherited name would publish this image as its parent, so only its own labels count.
        let labels = match LayeredLabels::read(&own, &Fallback::default()) {
            Ok(labels) => labels,
            Err(errors) => {
                for error in errors {
                    // A value may hold variables of a parent that nobody could ask.
                    let set = last_set(file, &args, error.label());
                    let literal = set.is_none_or(|(_, value)| !value.contains('$'));
                    if known || literal || matches!(error, LabelError::Missing { .. }) {
                        let line = set.map_or(0, |(line, _)| line);
                        self.problems.add(&path, line, error.to_string());
                    }
                }
                return None;
            }
        };
        let configured = &self.release.labels;
        if let Err(why) = check_scope(self.asked.mode, &own, &parent.labels, configured) {
            self.problems.add(&path, label_line(file, &args, "distribution-scope"), why);
        }
        let (release, release_place) = self.release(file, &labels);
        let base_stage = (!on_scratch).then_some(first);
        let inherited = parent.labels;
        Some(Named { labels, release, release_place, base_stage, own, inherited })
    }

    /// The labels that the Dockerfile sets itself, under a release in the variable that the
    /// repository names for it.
    fn own_labels(
        &self,
        file: &Dockerfile,
        env: &BTreeMap<String, String>,
        release: &str,
    ) -> Result<BTreeMap<String, String>, DockerfileError> {
        let mut env = env.clone();
        env.extend(self.wishes.release_env.iter().map(|name| (name.clone(), release.to_owned())));
        dockerfile::final_labels(file, &self.asked.build_args, &env, &BTreeMap::new())
    }

    /// The release is chosen once the image has its name, so a name that is made of it is refused;
    /// what else is made of it is the builder's to say.
    fn leave_out_what_the_release_makes(
        &mut self,
        file: &Dockerfile,
        env: &BTreeMap<String, String>,
        own: &mut BTreeMap<String, String>,
    ) {
        let Some(variable) = self.wishes.release_env.clone() else { return };
        // Two releases of which no part is the same.
        let Ok(others) = self.own_labels(file, env, RELEASES[1]) else { return };
        let differs = |label: &str, value: &String| others.get(label) != Some(value);
        for label in ["com.redhat.component", "name", "version", "release"] {
            let spellings = [Some(label), old_spelling(label)];
            let mut set =
                spellings.into_iter().flatten().filter_map(|name| own.get_key_value(name));
            if set.any(|(name, value)| differs(name, value)) {
                let message = format!(
                    "label `{label}` is made of `{variable}`, which holds the release \
                     (set_release_env in container.yaml): that is chosen once the image has its \
                     name; write the label without it"
                );
                let line = label_line(file, &self.asked.build_args, label);
                self.problems.add(&self.asked.dockerfile, line, message);
            }
        }
        own.retain(|label, value| IDENTITY.contains(&label.as_str()) || !differs(label, value));
    }

    /// The release that was given and where, checked against the rules of the build's mode.
    fn release(&mut self, file: &Dockerfile, labels: &LayeredLabels) -> (Option<String>, String) {
        let label_line = label_line(file, &self.asked.build_args, "release");
        let (given, path, line) = match &self.asked.release {
            Some(given) => (Some(given.clone()), IN_STEP.to_owned(), 0),
            None => (labels.release.clone(), self.asked.dockerfile.clone(), label_line),
        };
        let given = given.filter(|_| self.asked.mode != BuildMode::Scratch);
        let none = BTreeSet::new();
        let checked = match (self.asked.mode, &given) {
            (BuildMode::Isolated, Some(given)) => nvr::isolated_release(given, &none),
            (BuildMode::Isolated, None) => Err(nvr::NvrError::NotIsolated("none".to_owned())),
            (BuildMode::Release, Some(given)) => nvr::given_release(given, &none),
            (BuildMode::Release, None) | (BuildMode::Scratch, _) => Ok(()),
        };
        if let Err(error) = checked {
            self.problems.add(&path, line, error.to_string());
        }
        if let (BuildMode::Release, Some(given)) = (self.asked.mode, &given) {
            self.refuse_second_build(given, &path, line);
        }
        let release_bytes = match (self.asked.mode, &given) {
            (BuildMode::Scratch, _) => 0,
            (_, Some(given)) => given.len(),
            (_, None) => MAX_NUMBER_DIGITS + 1 + self.release.dist_tag.len(),
        };
        if labels.version.len() + 1 + release_bytes > MAX_TAG_BYTES {
            let message = format!(
                "version and release together are longer than the {MAX_TAG_BYTES} bytes of a tag"
            );
            self.problems.add(&path, line, message);
        }
        let place = if line == 0 { path } else { format!("{path}:{line}") };
        (given, place)
    }

    /// A given release can be built once, so that rebuilds would fail one after the other; better
    /// to say so at the push that configures it.
    fn refuse_second_build(&mut self, given: &str, path: &str, line: usize) {
        let whose = match self.wishes.autorebuild {
            // As `rebuild::Built` has it: the workflow's own word goes before all others.
            _ if self.asked.follows_parents => "`on: parent-image` of the workflow".to_owned(),
            Some(true) => "the repository".to_owned(),
            None if self.release.rebuild.autorebuild => format!("release {}", self.release.name),
            Some(false) | None => return,
        };
        if self.wishes.rebuild.add_timestamp {
            return;
        }
        let otherwise = match self.asked.follows_parents {
            true => "take `parent-image` out of `on`",
            false => "`enabled = 0` under [autorebuild] in .osbs-repo-config",
        };
        let message = format!(
            "release `{given}` can be built once, and {whose} asks for a rebuild whenever a parent \
             changes: leave the release out, set `autorebuild.add_timestamp_to_release` in \
             container.yaml, or {otherwise}"
        );
        self.problems.add(path, line, message);
    }
}

/// The last line that sets a label, in either spelling; 0 when none does.
fn label_line(file: &Dockerfile, args: &BTreeMap<String, String>, label: &str) -> usize {
    last_set(file, args, label).map_or(0, |(line, _)| line)
}

/// Where a label is set last, in either spelling, and to what as it is written.
fn last_set<'a>(
    file: &'a Dockerfile,
    args: &BTreeMap<String, String>,
    label: &str,
) -> Option<(usize, &'a str)> {
    let chain = file.chain(args).ok()?;
    let old = old_spelling(label);
    let is_meant = |name: &str| name == label || Some(name) == old;
    let instructions = chain.into_iter().rev().flat_map(|stage| stage.instructions.iter().rev());
    instructions
        .filter_map(|instruction| match &instruction.kind {
            InstructionKind::Label(pairs) => {
                let set = pairs.iter().rev().find(|(name, _)| is_meant(name))?;
                Some((instruction.line, set.1.as_str()))
            }
            _ => None,
        })
        .next()
}
