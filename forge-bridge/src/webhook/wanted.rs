//! Projects whose webhook key somebody should fetch.
//!
//! A hint and no fact: it lives in memory, what is lost is told again by the next delivery, and
//! what a stranger makes up is bounded here and looked at with suspicion by who fetches.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use workflows::names::RepositoryName;

/// Projects that are remembered; more are forgotten, and told again by their next delivery.
const MAX_WANTED: usize = 64;

/// The wishes, and the bell of who fulfils them.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    projects: Mutex<BTreeSet<(String, RepositoryName)>>,
    bell: Notify,
}

impl Wanted {
    pub(crate) fn want(&self, forge: &str, project: RepositoryName) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if projects.len() < MAX_WANTED {
            projects.insert((forge.to_owned(), project));
            self.bell.notify_one();
        }
    }

    /// All wishes, once there are some.
    pub(crate) async fn take(&self) -> BTreeSet<(String, RepositoryName)> {
        loop {
            let taken =
                std::mem::take(&mut *self.projects.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.bell.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_is_kept_once_and_a_flood_of_them_is_bounded() {
        let wanted = Wanted::default();
        for number in 0..MAX_WANTED * 2 {
            let project = RepositoryName::parse(&format!("containers/p{}", number / 2)).unwrap();
            wanted.want("pagure", project);
        }
        assert_eq!(wanted.take().await.len(), MAX_WANTED);
        let project = RepositoryName::parse("containers/late").unwrap();
        wanted.want("pagure", project.clone());
        assert_eq!(wanted.take().await, BTreeSet::from([("pagure".to_owned(), project)]));
    }
}
