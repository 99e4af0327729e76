//! Which images a Dockerfile may name.

use super::files::text;
use super::{Admission, Content, Files, ImageToPin, Inspection, MAX_IMAGES, MAX_STAGES};
use crate::dockerfile::{self, DockerfileError, MAX_DOCKERFILE_BYTES, NamedImage, Place};
use crate::image::Reference;
use crate::release::{OutsideImage, ReleasePolicy};

impl Inspection {
    pub(super) fn look_at_dockerfile(&mut self, files: &Files, admission: Admission<'_>) {
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
            .filter_map(|image| match self.checked(image, admission) {
                Ok(image) => Some(image),
                Err(message) => {
                    self.problems.add(&path, image.line, message);
                    None
                }
            })
            .collect();
        self.file = Some(file);
    }

    fn checked(&self, image: &NamedImage, admission: Admission<'_>) -> Result<ImageToPin, String> {
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
        if let Admission::ByRelease(registries) = admission {
            admit(&image.expanded, &reference, &self.release, registries)?;
        }
        Ok(ImageToPin { written: image.written.clone(), reference, line: image.line, stage })
    }
}

/// Whether a release takes images from where this one is; `registries` are the hosts that the
/// operator allows at all.
///
/// # Errors
/// Which registry it is and which are allowed, in words for the packager.
pub fn admit(
    written: &str,
    reference: &Reference,
    release: &ReleasePolicy,
    registries: &[String],
) -> Result<(), String> {
    let host = &reference.registry;
    let own = release.policy.registries.as_deref();
    let by_release = own.is_none_or(|hosts| hosts.contains(host));
    if by_release && registries.contains(host) {
        return Ok(());
    }
    let whose = if by_release { String::new() } else { format!(" for release {}", release.name) };
    let hosts = own.unwrap_or(registries).join(", ");
    Err(format!(
        "`{}` comes from registry {host}, which is not allowed{whose} (allowed: {hosts})",
        dockerfile::shown(written)
    ))
}

/// An error of the Dockerfile's reader without its place.
pub(super) fn in_words(error: &DockerfileError) -> String {
    match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    }
}
