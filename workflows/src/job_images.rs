//! Which image the steps of a job run in that names none: the operator's, by a label of `runs-on`.
//!
//! Most files that were written for other services count on a machine behind each label. Here no
//! command runs on the runner itself, so that a label stands for an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::quoted;
use crate::image::Reference;

/// Most labels that have an image.
pub const MAX_LABELS: usize = 64;
/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 128;

/// Images of labels, each as the operator wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobImages(BTreeMap<String, String>);

impl JobImages {
    /// Checks what the operator wrote; a name without a host comes from `source_registry`.
    ///
    /// # Errors
    /// Which label has no image, in words for the operator.
    pub fn check(&self, source_registry: &str) -> Result<(), String> {
        if self.0.len() > MAX_LABELS {
            return Err(format!("job_images has {} labels; at most {MAX_LABELS}", self.0.len()));
        }
        for (label, image) in &self.0 {
            let is_line = !label.trim().is_empty() && !label.contains(char::is_control);
            if !is_line || label.len() > MAX_LABEL_BYTES {
                return Err(format!("job_images: {} is no label of a runner", quoted(label)));
            }
            Reference::parse(image, source_registry)
                .map_err(|error| format!("job_images: label {}: {error}", quoted(label)))?;
        }
        Ok(())
    }

    /// Each label with its image.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(label, image)| (label.as_str(), image.as_str()))
    }

    /// The first of these labels that has an image, and the image.
    #[must_use]
    pub fn of(&self, labels: &[String]) -> Option<(&str, &str)> {
        let found = labels.iter().find_map(|label| self.0.get_key_value(label));
        found.map(|(label, image)| (label.as_str(), image.as_str()))
    }
}

impl FromIterator<(String, String)> for JobImages {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::DOCKER_HUB;

    fn images(pairs: &[(&str, &str)]) -> JobImages {
        pairs.iter().map(|&(label, image)| (label.to_owned(), image.to_owned())).collect()
    }

    #[test]
    fn the_first_label_with_an_image_counts() {
        let images = images(&[("ubuntu-latest", "ci:1"), ("docker", "ci:2")]);
        let of = |labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            images.of(&labels).map(|(label, image)| format!("{label} {image}"))
        };
        assert_eq!(of(&["big", "docker", "ubuntu-latest"]).as_deref(), Some("docker ci:2"));
        assert_eq!(of(&["Ubuntu-Latest"]), None, "runners tell small from capital letters too");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_no_label_or_no_image_is_told_at_the_start() {
        assert_eq!(images(&[("docker", "r.example/ci:1")]).check(DOCKER_HUB), Ok(()));
        for (label, image, why) in [
            (" ", "ci", "job_images: ` ` is no label of a runner"),
            ("a\nb", "ci", "job_images: `a\\nb` is no label of a runner"),
            ("a", "a b", "job_images: label `a`: `a b` is not an image reference"),
            ("a", "", "job_images: label `a`: "),
        ] {
            let told = images(&[(label, image)]).check(DOCKER_HUB).unwrap_err();
            assert!(told.starts_with(why), "{told}");
        }
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| n.to_string()).collect();
        let many: JobImages = many.iter().map(|label| (label.clone(), "ci".to_owned())).collect();
        assert_eq!(many.check(DOCKER_HUB).unwrap_err(), "job_images has 65 labels; at most 64");
    }
}
