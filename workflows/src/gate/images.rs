//! Which images a Dockerfile may name, and what it may download.

use std::collections::BTreeMap;

use super::files::text;
use super::problem::Problems;
use super::{Asked, Content, Files, ImageToPin, Inspection, MAX_IMAGES, MAX_STAGES, ParentFacts};
use crate::dockerfile::{
    self, ArgScope, Dockerfile, DockerfileError, ImageConfig, InstructionKind,
    MAX_DOCKERFILE_BYTES, NamedImage, Place, StageBase,
};
use crate::image::Reference;
use crate::release::{AddUrl, BuildPolicy, OutsideImage};

impl Inspection {
    pub(super) fn look_at_dockerfile(&mut self, files: &Files, registries: &[String]) {
        let path = self.asked.dockerfile.clone();
        if files.contents.get(&path).is_none_or(|content| *content == Content::Missing) {
            self.problems.add(&path, 0, "there is no such file at this commit");
        }
        let Some(text) = text(files, &path, MAX_DOCKERFILE_BYTES, &mut self.problems) else {
            return;
        };
        let read = dockerfile::parse(text).and_then(|file| {
            let named = dockerfile::images_named(&file, &self.asked.build_args)?;
            Ok((file, named))
        });
        let (file, named) = match read {
            Ok(read) => read,
            Err(error) => return self.problems.add(&path, error.line, in_words(&error)),
        };
        if named.len() > MAX_IMAGES || file.stages.len() > MAX_STAGES {
            let (images, stages) = (named.len(), file.stages.len());
            let message = format!(
                "{images} images and {stages} stages; at most {MAX_IMAGES} and {MAX_STAGES}"
            );
            return self.problems.add(&path, 0, message);
        }
        self.images = named
            .iter()
            .filter_map(|image| match self.checked(image, registries) {
                Ok(image) => Some(image),
                Err(message) => {
                    self.problems.add(&path, image.line, message);
                    None
                }
            })
            .collect();
        self.file = Some(file);
    }

    fn checked(&self, image: &NamedImage, registries: &[String]) -> Result<ImageToPin, String> {
        let policy = &self.release.policy;
        let release = &self.release.name;
        let refused = |what: &str, advice: &str| {
            Err(format!("release {release} does not allow {what} `{}`; {advice}", image.expanded))
        };
        let by_stage = "give the image a stage of its own, with FROM, and name that stage";
        let stage = match image.place {
            Place::From { stage } => Some(stage),
            Place::CopyFrom { .. } if policy.external_copy == OutsideImage::Refuse => {
                return refused("COPY --from of image", by_stage);
            }
            Place::MountFrom { .. } if policy.external_mount == OutsideImage::Refuse => {
                return refused("RUN --mount from image", by_stage);
            }
            Place::Syntax if policy.syntax == OutsideImage::Refuse => {
                return refused("another frontend:", "remove the `# syntax=` line");
            }
            Place::CopyFrom { .. } | Place::MountFrom { .. } | Place::Syntax => None,
        };
        let reference = Reference::parse(&image.expanded, self.source_registry())
            .map_err(|error| error.to_string())?;
        let host = &reference.registry;
        let by_release = policy.registries.as_ref().is_none_or(|hosts| hosts.contains(host));
        if !by_release || !registries.contains(host) {
            let whose = if by_release { String::new() } else { format!(" for release {release}") };
            let hosts = policy.registries.as_deref().unwrap_or(registries).join(", ");
            return Err(format!(
                "`{}` comes from registry {host}, which is not allowed{whose} (allowed: {hosts})",
                image.expanded
            ));
        }
        Ok(ImageToPin { written: image.written.clone(), reference, line: image.line, stage })
    }
}

/// An error of the Dockerfile's reader without its place.
pub(super) fn in_words(error: &DockerfileError) -> String {
    match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    }
}

/// Looks for downloads that nobody checks.
pub(super) struct UrlCheck<'a> {
    pub(super) asked: &'a Asked,
    pub(super) policy: &'a BuildPolicy,
}

type Env = Vec<(String, String)>;

impl UrlCheck<'_> {
    /// Looks at every ADD under the variables of its place: one of them may hold the URL.
    pub(super) fn look(
        &self,
        file: &Dockerfile,
        parents: &BTreeMap<usize, ParentFacts>,
        problems: &mut Problems,
    ) {
        let adds = |kind: &InstructionKind| matches!(kind, InstructionKind::Add(_));
        let mut all = file.stages.iter().flat_map(|stage| &stage.instructions);
        if !all.any(|instruction| adds(&instruction.kind)) {
            return;
        }
        let start = ArgScope::new(file, &self.asked.build_args);
        let bases = file.bases(&self.asked.build_args);
        let (Ok(start), Ok(bases)) = (start, bases) else { return };
        // What a stage hands on, and whether all of it is known.
        let mut ends: Vec<(Env, bool)> = Vec::with_capacity(bases.len());
        for (index, base) in bases.iter().enumerate() {
            let (env, known) = match base {
                StageBase::Scratch => (Env::new(), true),
                StageBase::Stage(earlier) => ends[*earlier].clone(),
                StageBase::Image(_) => match parents.get(&index) {
                    Some(facts) => (facts.env.clone().into_iter().collect(), true),
                    None => (Env::new(), false),
                },
            };
            let mut config = ImageConfig { env, ..ImageConfig::default() };
            let walked = self.stage(file, index, &mut config, start.clone(), problems);
            match walked {
                Err(error) if known => {
                    problems.add(&self.asked.dockerfile, error.line, in_words(&error));
                }
                _ => {}
            }
            ends.push((config.env, known));
        }
    }

    fn stage(
        &self,
        file: &Dockerfile,
        index: usize,
        config: &mut ImageConfig,
        mut args: ArgScope,
        problems: &mut Problems,
    ) -> Result<(), DockerfileError> {
        for instruction in &file.stages[index].instructions {
            match &instruction.kind {
                InstructionKind::Env(_) | InstructionKind::Arg(_) => {
                    config.apply(instruction, &mut args)?;
                }
                InstructionKind::Add(_) => {
                    let expanded = args.expand(instruction, config)?;
                    let InstructionKind::Add(add) = expanded.kind else { continue };
                    let has_checksum = add.checksum.is_some_and(|checksum| !checksum.is_empty());
                    let remote = add.transfer.sources.iter().find(|source| is_remote(source));
                    let message = match (remote, self.policy.add_url) {
                        (Some(url), AddUrl::Refuse) => format!(
                            "ADD of `{}` is not allowed; list the file in `sources` and COPY it",
                            dockerfile::shown(url)
                        ),
                        (Some(url), AddUrl::Checksum) if !has_checksum => format!(
                            "ADD of `{}` has no checksum; write --checksum=sha256:…, or list the \
                             file in `sources` and COPY it",
                            dockerfile::shown(url)
                        ),
                        _ => continue,
                    };
                    problems.add(&self.asked.dockerfile, instruction.line, message);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether ADD would download this source: a URL, or a git repository as ssh writes it.
fn is_remote(source: &str) -> bool {
    let has_host = |rest: &str| rest.split_once(':').is_some_and(|(host, _)| !host.contains('/'));
    source.contains("://") || source.strip_prefix("git@").is_some_and(has_host)
}
