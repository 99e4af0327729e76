//! The image's history: which instruction made which layer.

use bollard::models::ImageHistoryResponseItem;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// One entry, as an image's configuration holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// When.
    pub(crate) created: String,
    /// By which instruction.
    pub(crate) created_by: String,
    /// Whether no layer belongs to it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) empty_layer: bool,
}

/// A time as configurations hold it; one that is out of range becomes the epoch.
pub(crate) fn time(seconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The parent's history, oldest first, with as many layers as the parent has.
///
/// The engine tells sizes and not which entry made a layer; where the sizes leave a doubt, each
/// layer gets a plain entry, because a history that does not fit its layers is refused by tools.
pub(crate) fn of_parent(mut told: Vec<ImageHistoryResponseItem>, layers: usize) -> Vec<Entry> {
    told.reverse();
    let with_size = told.iter().filter(|entry| entry.size > 0).count();
    if with_size == layers {
        return told
            .into_iter()
            .map(|entry| Entry {
                created: time(entry.created),
                created_by: entry.created_by,
                empty_layer: entry.size == 0,
            })
            .collect();
    }
    let created = time(told.last().map_or(0, |entry| entry.created));
    let plain = Entry { created, created_by: "layer of the parent".to_owned(), empty_layer: false };
    vec![plain; layers]
}

/// The history without layers of which nothing is left; `is_empty` tells that of each layer that
/// is not the parent's, counted from 0.
pub(crate) fn without_empty(
    mut history: Vec<Entry>,
    inherited: usize,
    is_empty: impl Fn(usize) -> bool,
) -> Vec<Entry> {
    let with_layer = history.iter_mut().filter(|entry| !entry.empty_layer);
    for (layer, entry) in with_layer.skip(inherited).enumerate() {
        entry.empty_layer = is_empty(layer);
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(by: &str, size: i64) -> ImageHistoryResponseItem {
        ImageHistoryResponseItem {
            created_by: by.to_owned(),
            size,
            created: 1,
            ..ImageHistoryResponseItem::default()
        }
    }

    #[test]
    fn a_parents_history_fits_its_layers() {
        let told = || vec![item("CMD", 0), item("ADD", 9)];
        let entries = of_parent(told(), 1);
        assert_eq!(entries[0].created_by, "ADD");
        assert!(!entries[0].empty_layer && entries[1].empty_layer);
        let doubtful = of_parent(told(), 2);
        assert_eq!(doubtful.iter().filter(|entry| !entry.empty_layer).count(), 2);
    }
    #[test]
    fn a_layer_that_is_gone_is_in_no_history() {
        let entry =
            |empty_layer| Entry { created: time(0), created_by: "x".to_owned(), empty_layer };
        let history = vec![entry(false), entry(true), entry(false), entry(false)];
        let left = without_empty(history, 1, |layer| layer == 0);
        let empty: Vec<bool> = left.iter().map(|entry| entry.empty_layer).collect();
        assert_eq!(empty, [false, true, true, false]);
    }
}
