//! What every page has, and how its parts are worded.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use crate::views::times;

use super::assets;

/// Most characters of a text of which a list shows the beginning.
const MAX_BEGINNING_CHARS: usize = 100;

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Runs,
    Images,
    Rebuilds,
    Deliveries,
    Runners,
    /// A page outside the navigation, such as an error.
    None,
}

/// One link of the navigation.
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) current: bool,
}

/// What the layout needs, and the one `now` that a page is rendered at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    section: Section,
    now: DateTime<Utc>,
    /// Changes with the assets, so that browsers may keep them.
    pub(super) assets: &'static str,
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) fn new(section: Section, now: DateTime<Utc>) -> Self {
        Self { section, now, assets: assets::version(), version: env!("CARGO_PKG_VERSION") }
    }

    pub(super) fn pages(&self) -> [Link; 5] {
        let link = |name, path, section| Link { name, path, current: self.section == section };
        [
            link("Runs", "/", Section::Runs),
            link("Images", "/images", Section::Images),
            link("Rebuilds", "/rebuilds", Section::Rebuilds),
            link("Deliveries", "/deliveries", Section::Deliveries),
            link("Runners", "/runners", Section::Runners),
        ]
    }

    pub(super) fn shown_at(&self) -> impl fmt::Display + use<> {
        self.now.format("%Y-%m-%d %H:%M:%S UTC")
    }

    /// A time as people say it, with the exact one beneath.
    pub(super) fn time(&self, at: &DateTime<Utc>) -> TimeTag {
        TimeTag { exact: times::rfc3339(*at), words: times::ago(self.now, *at) }
    }

    pub(super) fn span(
        &self,
        start: &Option<DateTime<Utc>>,
        end: &Option<DateTime<Utc>>,
    ) -> String {
        times::span(self.now, *start, *end)
    }

    pub(super) fn span_since(&self, start: &DateTime<Utc>, end: &Option<DateTime<Utc>>) -> String {
        times::span(self.now, Some(*start), *end)
    }

    pub(super) fn size(&self, bytes: &u64) -> String {
        times::size(*bytes)
    }

    /// The class that colours a state, an outcome or a status.
    pub(super) fn tone(&self, word: &str) -> &'static str {
        match word {
            "success" | "planned" | "done" => "ok",
            "failure" | "timed_out" | "refused" => "bad",
            "error" => "fault",
            "running" | "leased" | "publishing" => "live",
            "queued" | "held" | "unpinned" | "waiting" | "pending" | "new" | "due" => "wait",
            _ => "dim",
        }
    }

    /// A stored word as people read it.
    pub(super) fn words(&self, word: &str) -> String {
        match word {
            "leased" => "running".to_owned(),
            "held" => "waiting for approval".to_owned(),
            _ => word.replace('_', " "),
        }
    }

    /// The beginning of a text that may be long.
    pub(super) fn beginning(&self, text: &str) -> String {
        let mut chars = text.chars();
        let mut beginning: String = chars.by_ref().take(MAX_BEGINNING_CHARS).collect();
        if chars.next().is_some() {
            beginning.push('…');
        }
        beginning
    }

    pub(super) fn short_ref<'a>(&self, ref_name: &'a str) -> &'a str {
        let prefixes = ["refs/heads/", "refs/"];
        prefixes.iter().find_map(|prefix| ref_name.strip_prefix(prefix)).unwrap_or(ref_name)
    }

    pub(super) fn short<'a>(&self, commit: &'a str) -> &'a str {
        commit.get(..12).unwrap_or(commit)
    }

    pub(super) fn short_digest<'a>(&self, digest: &'a str) -> &'a str {
        digest.get(.."sha256:".len() + 12).unwrap_or(digest)
    }
}

/// A `<time>` element. It holds nothing but digits, letters and punctuation of ours.
pub(super) struct TimeTag {
    exact: String,
    words: String,
}

impl fmt::Display for TimeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exact, words } = self;
        write!(f, r#"<time datetime="{exact}" title="{exact}">{words}</time>"#)
    }
}

impl HtmlSafe for TimeTag {}
