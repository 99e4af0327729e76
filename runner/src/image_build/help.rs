//! `help.md` of the repository, as a manual page in the image.

use chrono::{DateTime, Utc};
use workflows::dockerfile::ImageConfig;
use workflows::help::{HELP_FILE, HELP_PAGE, HelpFacts, MAX_HELP_BYTES, man_page};

use super::Build;
use super::plan::{Put, StagePlan, Told};

impl Build<'_> {
    /// Puts the manual page into the image's last layer, when the repository has a `help.md` that
    /// says something.
    pub(super) fn add_help(&self, plan: &mut StagePlan) {
        let Some(markdown) = &self.help else { return };
        let date = DateTime::<Utc>::from_timestamp(self.spec.source_date_epoch, 0);
        let date = date.unwrap_or_default().format("%Y-%m-%d").to_string();
        let label = |name: &str| label_of(&plan.config, name);
        let name = label("name").unwrap_or(&self.spec.target.repository);
        let maintainer = label("maintainer").unwrap_or(&plan.config.author);
        let facts = HelpFacts { name, maintainer, date: &date };
        let too_long = markdown.len() > MAX_HELP_BYTES;
        match man_page(markdown, &facts).filter(|_| !too_long) {
            Some(page) => {
                let path = HELP_PAGE.to_owned();
                let layer = plan.put(Put::Text { path, content: page });
                plan.tell(Told {
                    text: format!("COPY {HELP_FILE} {HELP_PAGE}"),
                    layer: Some(layer),
                });
            }
            None => {
                let why = if too_long { "too long" } else { "empty" };
                let line = format!("Strata: note: {HELP_FILE} is {why}; there is no {HELP_PAGE}");
                self.execution.log.line(&line);
            }
        }
    }
}

fn label_of<'a>(config: &'a ImageConfig, name: &str) -> Option<&'a String> {
    config.labels.get(name).filter(|value| !value.is_empty())
}
