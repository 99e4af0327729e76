//! Variables of the programs in containers. None of them is ever one of a process of the runner's
//! own: they are handed to the engine as words, and it gives them to what it starts.

use std::collections::BTreeMap;

use workflows::variables;

use crate::stop::Stop;

/// The variables as the engine takes them; what no program can be given fails the step.
pub(crate) fn listed(env: &BTreeMap<String, String>) -> Result<Vec<String>, Stop> {
    variables::check(env.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(Stop::Failure)?;
    Ok(env.iter().map(|(name, value)| format!("{name}={value}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_would_read_in_another_way_is_the_users_failure() {
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(listed(&env("A", "b=c")).unwrap(), ["A=b=c"]);
        assert!(matches!(listed(&env("A=B", "c")), Err(Stop::Failure(_))));
        assert!(matches!(listed(&env("A", "b\0")), Err(Stop::Failure(_))));
    }
}
