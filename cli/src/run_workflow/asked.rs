//! Which jobs of a workflow somebody asks for.

use serde_json::Value as Json;
use workflows::plan::JobDraft;

use super::jobs::Run;
use crate::failure::Failure;

impl Run<'_> {
    /// Keys of the jobs that were asked for, and of those that they need.
    pub(super) fn wanted(&self, drafts: &[JobDraft]) -> Result<Vec<String>, Failure> {
        let keys: Vec<&str> = drafts.iter().map(|draft| draft.key.as_str()).collect();
        if self.args.job.is_empty() {
            return Ok(keys.into_iter().map(ToOwned::to_owned).collect());
        }
        let mut wanted: Vec<String> = Vec::new();
        let mut open = self.args.job.clone();
        while let Some(key) = open.pop() {
            if !keys.contains(&key.as_str()) {
                let why = self.skipped.iter().find(|(skipped, _)| *skipped == key);
                return Err(Failure::Negative(match why {
                    Some((_, why)) => format!("job `{key}` does not run: {why}"),
                    None => format!("there is no job `{key}`; there are {}", each_once(&keys)),
                }));
            }
            if !wanted.contains(&key) {
                let of_key = drafts.iter().filter(|draft| draft.key == key);
                open.extend(of_key.flat_map(|draft| draft.needs.clone()));
                wanted.push(key);
            }
        }
        Ok(wanted)
    }

    /// Whether a job of a matrix has the values that were asked for.
    pub(super) fn fits(&self, draft: &JobDraft) -> bool {
        let Some(place) = &draft.matrix else { return true };
        self.args
            .matrix
            .iter()
            .all(|(key, wanted)| place.values.get(key).is_none_or(|value| shown(value) == *wanted))
    }
}

/// A value of a matrix as a person writes it.
fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names in their order; those of a matrix are told once.
fn each_once(keys: &[&str]) -> String {
    let mut told: Vec<&str> = Vec::new();
    for key in keys {
        if !told.contains(key) {
            told.push(key);
        }
    }
    told.join(", ")
}

/// Refuses a value that no job has: nothing would run, and nobody would know why. A matrix that is
/// not known before other jobs are over may have any.
pub(super) fn check_matrix<'a>(
    asked: &[(String, String)],
    drafts: impl Iterator<Item = &'a JobDraft> + Clone,
) -> Result<(), Failure> {
    if drafts.clone().any(|draft| draft.is_provisional) {
        return Ok(());
    }
    for (key, wanted) in asked {
        let mut places = drafts.clone().filter_map(|draft| draft.matrix.as_ref());
        if !places.any(|place| place.values.get(key).is_some_and(|value| shown(value) == *wanted)) {
            return Err(Failure::Negative(format!("no job has a matrix with {key}={wanted}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use workflows::plan::MatrixPlace;

    use super::*;

    fn draft(target: &str) -> JobDraft {
        let values = serde_json::from_value(serde_json::json!({ "target": target })).unwrap();
        let place = MatrixPlace {
            key: "m".to_owned(),
            values,
            index: 0,
            total: 2,
            fail_fast: true,
            max_parallel: None,
        };
        JobDraft { matrix: Some(place), ..JobDraft::default() }
    }

    #[test]
    fn what_no_matrix_has_is_refused_and_names_are_told_once() {
        let mut drafts = vec![draft("web"), draft("db"), JobDraft::default()];
        let check = |drafts: &[JobDraft], key: &str, value: &str| {
            check_matrix(&[(key.to_owned(), value.to_owned())], drafts.iter())
        };
        assert!(check(&drafts, "target", "db").is_ok());
        for (key, value) in [("target", "none"), ("x", "db")] {
            let refused = check(&drafts, key, value).unwrap_err();
            let expected = format!("no job has a matrix with {key}={value}");
            assert!(matches!(refused, Failure::Negative(why) if why == expected));
        }
        drafts[2].is_provisional = true;
        assert!(check(&drafts, "x", "db").is_ok(), "it may have, later");
        assert_eq!(each_once(&["m", "m", "n", "m"]), "m, n");
    }
}
