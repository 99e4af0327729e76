//! Checks that a person asks the forge to have made again.

use workflows::command::{self, Permission, Speaker};
use workflows::event::RerunAsked;

use super::commands::unlisted_bot;
use super::{Intake, PlanError};
use crate::store::planning::{Again, CheckedRun, Decision, UndoneEvent};
use crate::store::pulls::PullKey;

impl Intake {
    /// Decides which runs of a commit are made again. The forge shows the button to people with write
    /// access, but a body is as good as its signature: who asks is looked up as with a comment.
    pub(super) async fn make_again(
        &self,
        undone: &UndoneEvent,
        asked: &RerunAsked,
    ) -> Result<Decision, PlanError> {
        let forge = &undone.forge;
        let app = self.planner.config.forge(forge).and_then(|forge| forge.app.as_ref());
        if app.is_none_or(|app| app.id != asked.app) {
            return Ok(Decision::Skip(format!("the checks are of App {}, not ours", asked.app)));
        }
        let found = self.store.runs_of_checks(forge, asked).await?;
        if found.is_empty() {
            let what = if asked.check.is_some() { "has that check" } else { "is known" };
            let why = format!("no run of {} {what}", asked.head.short());
            return Ok(Decision::Skip(why));
        }
        let mut again = Again { asked: asked.clone(), runs: Vec::new(), refused: Vec::new() };
        let (name, is_bot) = (asked.actor.as_str(), asked.is_bot);
        let permission = self.permission_of_speaker(forge, &asked.repository, name, is_bot).await?;
        let Some(permission) = permission else {
            again.refused.push(unlisted_bot(name));
            return Ok(Decision::Again(Box::new(again)));
        };
        for one in found {
            match self.may_rerun(forge, asked, permission, &one).await? {
                Ok(()) => again.runs.push((one.run, one.which)),
                Err(why) => again.refused.push(format!("run {}, asked by {name}: {why}", one.run)),
            }
        }
        Ok(Decision::Again(Box::new(again)))
    }

    /// Whether who asks may have a run made again; in words, why not.
    async fn may_rerun(
        &self,
        forge: &str,
        asked: &RerunAsked,
        permission: Permission,
        run: &CheckedRun,
    ) -> Result<Result<(), String>, PlanError> {
        let of_branch = Speaker { is_author: false, permission };
        // Who may write may have all of them.
        let number = run.change.filter(|_| permission < Permission::Write);
        let Some(number) = number else { return Ok(command::may_rerun(of_branch, None)) };
        let (forge, repository) = (forge.to_owned(), asked.repository.clone());
        let key = PullKey { forge, repository, number };
        let Some(known) = self.store.known_pull(&key).await? else {
            return Ok(command::may_rerun(of_branch, None));
        };
        let is_author = known.pull.author.as_ref() == Some(&asked.actor);
        let runs_freely = known.is_approved || !self.waits(&key.forge, &known.pull).await?;
        Ok(command::may_rerun(Speaker { is_author, permission }, Some(runs_freely)))
    }
}
