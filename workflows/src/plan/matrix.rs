//! The combinations of a matrix, as GitHub makes them.

use serde_json::{Map, Value as Json};

use crate::diagnostic::quoted;

/// Most jobs that one matrix makes, as on GitHub.
pub const MAX_MATRIX_JOBS: usize = 256;

/// One combination: each key of the matrix with its value.
pub type Combination = Map<String, Json>;

/// A matrix whose expressions are evaluated.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    /// The lists that are combined, in the order of the file.
    pub(super) axes: Vec<(String, Vec<Json>)>,
    /// Rows to add to combinations, or to add as such.
    pub(super) include: Vec<Combination>,
    /// Rows to leave out.
    pub(super) exclude: Vec<Combination>,
}

impl Lists {
    /// The lists of a whole matrix that an expression gave.
    pub(super) fn of_value(value: &Json) -> Result<Self, String> {
        let Json::Object(map) = value else {
            return Err("a matrix must be an object of lists".to_owned());
        };
        let mut lists = Self::default();
        for (key, value) in map {
            match key.as_str() {
                "include" => lists.include = rows(key, value)?,
                "exclude" => lists.exclude = rows(key, value)?,
                _ => lists.axes.push((key.clone(), list(key, value)?)),
            }
        }
        Ok(lists)
    }

    /// All combinations, in GitHub's order: the last list turns fastest.
    ///
    /// `exclude` is taken away first. Then each row of `include` is added to every combination
    /// in which it changes no value of the lists; a row that fits none is a combination of its own.
    pub(super) fn combinations(&self) -> Result<Vec<Combination>, String> {
        let count = self.axes.iter().try_fold(1_usize, |count, (_, values)| {
            count.checked_mul(values.len()).filter(|count| *count <= MAX_MATRIX_JOBS)
        });
        let (Some(_), true) = (count, self.include.len() <= MAX_MATRIX_JOBS) else {
            return Err(format!("the matrix makes more than {MAX_MATRIX_JOBS} jobs"));
        };
        // As on GitHub: in silence, nothing would be left out.
        let is_axis = |key: &String| self.axes.iter().any(|(axis, _)| axis == key);
        if let Some(key) = self.exclude.iter().flat_map(Map::keys).find(|key| !is_axis(key)) {
            return Err(format!(
                "`exclude` names {}, and the matrix has no such list",
                quoted(key)
            ));
        }
        let mut made = self.product();
        made.retain(|made| !self.exclude.iter().any(|row| covers(row, made)));
        let original = made.clone();
        for row in &self.include {
            let mut fits_one = false;
            for (made, original) in made.iter_mut().zip(&original) {
                if row.iter().all(|(key, value)| original.get(key).is_none_or(|own| own == value)) {
                    made.extend(row.clone());
                    fits_one = true;
                }
            }
            if !fits_one {
                made.push(row.clone());
            }
        }
        if made.len() > MAX_MATRIX_JOBS {
            return Err(format!("the matrix makes more than {MAX_MATRIX_JOBS} jobs"));
        }
        Ok(made)
    }

    fn product(&self) -> Vec<Combination> {
        // Without lists there is nothing to combine, and not one empty combination.
        let mut made = if self.axes.is_empty() { Vec::new() } else { vec![Combination::new()] };
        for (key, values) in &self.axes {
            made = made
                .iter()
                .flat_map(|before| {
                    values.iter().map(|value| {
                        let mut next = before.clone();
                        next.insert(key.clone(), value.clone());
                        next
                    })
                })
                .collect();
        }
        made
    }
}

/// Whether a row of `exclude` means this combination. An object in it means every object that has
/// its parts.
fn covers(row: &Combination, made: &Combination) -> bool {
    row.iter().all(|(key, value)| match (value, made.get(key)) {
        (Json::Object(row), Some(Json::Object(made))) => covers(row, made),
        (value, own) => own == Some(value),
    })
}

/// The values of one list.
pub(super) fn list(key: &str, value: &Json) -> Result<Vec<Json>, String> {
    match value {
        Json::Array(items) => Ok(items.clone()),
        _ => Err(format!("`{key}` of a matrix must be a list")),
    }
}

/// The rows of `include` or `exclude`.
pub(super) fn rows(key: &str, value: &Json) -> Result<Vec<Combination>, String> {
    let row = |value: Json| match value {
        Json::Object(row) => Ok(row),
        _ => Err(format!("`{key}` of a matrix must be a list of objects")),
    };
    list(key, value)?.into_iter().map(row).collect()
}

/// What stands in parentheses behind a job's name: the values, those of objects one by one.
pub(super) fn suffix(combination: &Combination, keys: &[String]) -> String {
    let mut shown = Vec::new();
    // The lists come first, in the order of the file; a map of JSON knows no order.
    let first = keys.iter().filter_map(|key| combination.get(key));
    let rest = combination.iter().filter(|(key, _)| !keys.contains(key)).map(|(_, value)| value);
    first.chain(rest).for_each(|value| leaves(value, &mut shown));
    shown.join(", ")
}

/// Recursion is bounded by the depth of the file, or of the JSON that gave the value.
fn leaves(value: &Json, shown: &mut Vec<String>) {
    match value {
        Json::Null => {}
        Json::String(text) => shown.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| leaves(item, shown)),
        Json::Object(map) => map.values().for_each(|item| leaves(item, shown)),
        other => shown.push(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(matrix: &Json) -> Json {
        // Keys of JSON have no order; `axes` says which list turns slowest.
        Json::from_iter(Lists::of_value(matrix).unwrap().combinations().unwrap())
    }

    #[test]
    fn lists_are_multiplied() {
        assert_eq!(
            made(&json!({"os": ["a", "b"], "version": [10, 12]})),
            json!([
                {"os": "a", "version": 10},
                {"os": "a", "version": 12},
                {"os": "b", "version": 10},
                {"os": "b", "version": 12}
            ])
        );
    }

    /// GitHub's own example of `include`.
    #[test]
    fn include_adds_to_what_it_does_not_change() {
        let matrix = json!({
            "animal": ["cat", "dog"],
            "fruit": ["apple", "pear"],
            "include": [
                {"color": "green"},
                {"color": "pink", "animal": "cat"},
                {"fruit": "apple", "shape": "circle"},
                {"fruit": "banana"},
                {"fruit": "banana", "animal": "cat"}
            ]
        });
        assert_eq!(
            made(&matrix),
            json!([
                {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
                {"fruit": "pear", "animal": "cat", "color": "pink"},
                {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
                {"fruit": "pear", "animal": "dog", "color": "green"},
                {"fruit": "banana"},
                {"fruit": "banana", "animal": "cat"}
            ])
        );
    }

    /// GitHub's own example of `exclude`.
    #[test]
    fn exclude_takes_away_what_has_its_parts() {
        let matrix = json!({
            "environment": ["staging", "production"],
            "os": ["macos-latest", "windows-latest"],
            "version": [12, 14, 16],
            "exclude": [
                {"os": "macos-latest", "version": 12, "environment": "production"},
                {"os": "windows-latest", "version": 16}
            ]
        });
        let made = made(&matrix);
        let made = made.as_array().unwrap();
        assert_eq!(made.len(), 9);
        let gone = json!({"os": "macos-latest", "version": 12, "environment": "production"});
        assert!(!made.contains(&gone));
        assert!(made.iter().all(|one| one["os"] != "windows-latest" || one["version"] != 16));
    }

    #[test]
    fn include_comes_after_exclude_and_may_stand_alone() {
        let matrix = json!({"x": [1, 2], "exclude": [{"x": 1}], "include": [{"x": 1}]});
        assert_eq!(made(&matrix), json!([{"x": 2}, {"x": 1}]));
        let matrix = json!({"include": [{"site": "production"}, {"site": "staging"}]});
        assert_eq!(made(&matrix), json!([{"site": "production"}, {"site": "staging"}]));
    }

    #[test]
    fn what_is_left_out_is_of_the_lists() {
        let matrix = json!({"os": ["a", "b"], "exclude": [{"oss": "a"}]});
        let refused = Lists::of_value(&matrix).unwrap().combinations().unwrap_err();
        assert_eq!(refused, "`exclude` names `oss`, and the matrix has no such list");
    }

    #[test]
    fn a_matrix_is_bounded_before_it_is_made() {
        let many: Vec<usize> = (0..1_000).collect();
        let matrix = json!({"a": many, "b": many, "c": many});
        let refused = Lists::of_value(&matrix).unwrap().combinations().unwrap_err();
        assert_eq!(refused, "the matrix makes more than 256 jobs");
        let most = json!({"a": (0..16).collect::<Vec<_>>(), "b": (0..16).collect::<Vec<_>>()});
        assert_eq!(Lists::of_value(&most).unwrap().combinations().unwrap().len(), 256);
        assert!(Lists::of_value(&json!([1])).is_err());
        assert!(Lists::of_value(&json!({"a": 1})).is_err());
        assert!(Lists::of_value(&json!({"include": [1]})).is_err());
    }

    #[test]
    fn names_show_the_values_of_the_lists_first() {
        let row = json!({"a": {"x": 1, "y": true}, "m": "more", "z": "f43"});
        let row = row.as_object().unwrap();
        assert_eq!(suffix(row, &["z".to_owned(), "a".to_owned()]), "f43, 1, true, more");
    }
}
