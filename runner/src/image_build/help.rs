//! `help.md` of the repository, as a manual page in the image.

use workflows::dockerfile::ImageConfig;
use workflows::help::{HELP_FILE, HELP_PAGE, page_of};
use workflows::job::BuildSpec;

use super::Build;
use super::plan::{Put, StagePlan, Told};

/// The manual page of an image; the error is a note for the log on why there is none.
pub(crate) fn page(
    markdown: &str,
    spec: &BuildSpec,
    config: &ImageConfig,
) -> Result<String, String> {
    page_of(markdown, config, &spec.target.repository, spec.source_date_epoch)
        .map_err(|why| format!("Strata: note: {HELP_FILE} is {why}; there is no {HELP_PAGE}"))
}

/// What the history says of the page.
pub(crate) fn told() -> String {
    format!("COPY {HELP_FILE} {HELP_PAGE}")
}

impl Build<'_> {
    /// Puts the manual page into the image's last layer, when the repository has a `help.md` that
    /// says something.
    pub(super) fn add_help(&self, plan: &mut StagePlan) {
        let Some(markdown) = &self.help else { return };
        match page(markdown, self.spec, &plan.config) {
            Ok(content) => {
                let layer = plan.put(Put::Text { path: HELP_PAGE.to_owned(), content });
                plan.tell(Told { text: told(), layer: Some(layer) });
            }
            Err(note) => self.execution.log.line(&note),
        }
    }
}
