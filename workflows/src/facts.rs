//! What expressions can name before a job runs: the contexts `github` and `release`.
//!
//! Only what is true is there. A field that this event or this forge does not give is left out,
//! and an expression that names it waits for it; see [`crate::template`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::event::{Event, PullRequest};
use crate::expression::{Context, Value};
use crate::job_images::JobImages;
use crate::names::{CommitId, RefName, RepositoryName};
use crate::release::ReleasePolicy;

/// What is known about an event when its runs are planned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    github: Map<String, Json>,
    release: Map<String, Json>,
    #[serde(default)]
    vars: Map<String, Json>,
    #[serde(default)]
    inputs: Map<String, Json>,
    #[serde(default)]
    job_images: JobImages,
    /// Whether there may be an image for any label: nobody could be asked.
    #[serde(skip)]
    takes_any_label: bool,
}

/// The numbers of a run, which it has only once it is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunNumbers {
    /// The run itself; of an attempt that a person asked for again, the first one.
    pub id: i64,
    /// Counts the runs of one workflow of a repository, from 1.
    pub number: i64,
    /// 1, and one more for each time that a person asked again.
    pub attempt: i64,
}

impl Facts {
    /// The facts of an event. `commit` is what is built, `server_url` is the forge's address
    /// without a slash at its end, where it has one.
    #[must_use]
    pub fn new(
        event: &Event,
        commit: &CommitId,
        server_url: Option<&str>,
        release: &ReleasePolicy,
    ) -> Self {
        let mut facts = Self::default();
        if let Some(repository) = event.repository() {
            facts.repository(repository);
        }
        facts.fact("sha", Some(commit.as_str()));
        facts.fact("server_url", server_url);
        facts.event(event);
        facts.release = [
            ("name", &release.name),
            ("dist_tag", &release.dist_tag),
            ("registry", &release.registry),
            ("namespace", &release.namespace),
        ]
        .map(|(key, value)| (key.to_owned(), Json::from(value.as_str())))
        .into_iter()
        .collect();
        facts.job_images = release.job_images.clone();
        facts
    }

    /// The same with the variables of the repository and its branch.
    #[must_use]
    pub fn with_vars(mut self, vars: &BTreeMap<String, String>) -> Self {
        let vars = vars.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        self.vars = vars.collect();
        self
    }

    /// The same with what a person or a calling workflow said.
    #[must_use]
    pub fn with_inputs(mut self, inputs: Map<String, Json>) -> Self {
        self.inputs = inputs;
        self
    }

    /// The same for a run that a person asked for, whose event has the inputs too, as text.
    #[must_use]
    pub fn with_dispatched(mut self, inputs: Map<String, Json>) -> Self {
        let text = |value: &Json| Json::from(&*Value::from(value).to_text());
        let told = inputs.iter().map(|(name, value)| (name.clone(), text(value)));
        if let Some(Json::Object(event)) = self.github.get_mut("event") {
            event.insert("inputs".to_owned(), told.collect());
        }
        self.with_inputs(inputs)
    }

    /// The same with the numbers of the run. As on GitHub they are text.
    #[must_use]
    pub fn with_run(mut self, run: RunNumbers) -> Self {
        let numbers =
            [("run_id", run.id), ("run_number", run.number), ("run_attempt", run.attempt)];
        for (name, number) in numbers {
            self.fact(name, Some(&number.to_string()));
        }
        self
    }

    /// The same for a run that a person asks for again.
    #[must_use]
    pub fn asked_again_by(mut self, name: &str) -> Self {
        self.fact("triggering_actor", Some(name));
        self
    }

    /// Those of a pull request as `pull_request_target` sees them: the run is one of the branch
    /// that the change would go into, and of the change only the event tells.
    #[must_use]
    pub fn of_base(mut self, base_ref: &RefName) -> Self {
        self.fact("event_name", Some("pull_request_target"));
        self.ref_name(base_ref);
        self
    }

    /// What the runs have in common that the next head of a pull request makes needless. Those that
    /// no head fires exclude nothing: each may be about something else.
    pub(crate) fn pull_request(&self) -> Option<String> {
        const HEADS: [&str; 3] = ["opened", "synchronize", "reopened"];
        let action = self.github.get("event").and_then(|event| event.get("action"));
        if action.and_then(Json::as_str).is_some_and(|action| !HEADS.contains(&action)) {
            return None;
        }
        match self.github.get("event_name")?.as_str()? {
            "pull_request" => self.github.get("ref")?.as_str().map(str::to_owned),
            "pull_request_target" => {
                let number = self.github.get("event")?.get("number")?.as_u64()?;
                Some(format!("base of pull request {number}"))
            }
            _ => None,
        }
    }

    /// Facts of no event, in which every field that some event has is there: with these a file can
    /// be checked before anything happened.
    #[must_use]
    pub fn example() -> Self {
        const TEXTS: [&str; 12] = [
            "repository",
            "repository_owner",
            "sha",
            "server_url",
            "event_name",
            "ref",
            "ref_name",
            "ref_type",
            "actor",
            "triggering_actor",
            "base_ref",
            "head_ref",
        ];
        let mut facts = Self { takes_any_label: true, ..Self::default() };
        for field in TEXTS {
            facts.fact(field, Some("example"));
        }
        let commit = json!({"ref": "example", "sha": "example", "repo": {"full_name": "example"}});
        let repository =
            json!({"full_name": "example", "name": "example", "owner": {"login": "example"}});
        let event = json!({
            "repository": repository, "sender": {"login": "example"}, "ref": "example",
            "before": "example", "after": "example", "forced": false, "created": false,
            "pusher": {"name": "example"}, "schedule": "0 0 * * *", "action": "opened", "number": 1,
            "label": {"name": "example"},
            "pull_request": {
                "number": 1, "user": {"login": "example"}, "merged": false, "head": commit,
                "base": commit
            }
        });
        facts.github.insert("event".to_owned(), event);
        for field in ["name", "dist_tag", "registry", "namespace"] {
            facts.release.insert(field.to_owned(), "example".into());
        }
        facts
    }

    /// Images of jobs that name none.
    pub(crate) fn job_images(&self) -> &JobImages {
        &self.job_images
    }

    /// Whether a label may have an image that is not among [`Facts::job_images`].
    pub(crate) fn takes_any_label(&self) -> bool {
        self.takes_any_label
    }

    /// The contexts of one job of a workflow. `matrix` is `None` when it is not known yet.
    pub(crate) fn contexts(
        &self,
        workflow: &str,
        job: Option<&str>,
        matrix: Option<&Map<String, Json>>,
        strategy: &Json,
    ) -> Context {
        let mut context = Context::default();
        for (name, json) in self.values(workflow, job, matrix, strategy) {
            let value = Value::from(&json);
            if name == "github" {
                context.set("forge", value.clone());
                context.set("forgejo", value.clone());
            }
            context.set(&name, value);
        }
        context
    }

    /// What the `if` of a job can name beside `needs`; its matrix is not made yet.
    #[must_use]
    pub fn context_of_condition(&self, workflow: &str, job: &str) -> Context {
        self.contexts(workflow, Some(job), Some(&Map::new()), &json!({}))
    }

    /// The same as JSON, by name: `github` (which `forge` and `forgejo` are too), `release`,
    /// `vars`, `inputs`, `strategy` and, where it is known, `matrix`.
    #[must_use]
    pub fn values(
        &self,
        workflow: &str,
        job: Option<&str>,
        matrix: Option<&Map<String, Json>>,
        strategy: &Json,
    ) -> BTreeMap<String, Json> {
        let mut github = self.github.clone();
        github.insert("workflow".to_owned(), workflow.into());
        github.extend(job.map(|job| ("job".to_owned(), job.into())));
        let object = |map: &Map<String, Json>| Json::Object(map.clone());
        let mut values = BTreeMap::from([
            ("github".to_owned(), Json::Object(github)),
            ("release".to_owned(), object(&self.release)),
            ("vars".to_owned(), object(&self.vars)),
            ("inputs".to_owned(), object(&self.inputs)),
            ("strategy".to_owned(), strategy.clone()),
        ]);
        values.extend(matrix.map(|matrix| ("matrix".to_owned(), object(matrix))));
        values
    }

    fn fact(&mut self, name: &str, value: Option<&str>) {
        self.github.extend(value.map(|value| (name.to_owned(), value.into())));
    }

    fn repository(&mut self, repository: &RepositoryName) {
        self.fact("repository", Some(repository.as_str()));
        let owner = repository.as_str().rsplit_once('/').map(|(owner, _)| owner);
        self.fact("repository_owner", owner);
    }

    fn ref_name(&mut self, ref_name: &RefName) {
        self.fact("ref", Some(ref_name.as_str()));
        self.fact("ref_name", Some(ref_name.short()));
        self.fact("ref_type", Some(if ref_name.as_tag().is_some() { "tag" } else { "branch" }));
    }

    fn event(&mut self, event: &Event) {
        let mut payload = Map::new();
        if let Some(repository) = event.repository() {
            let owner = repository.as_str().rsplit_once('/').map(|(owner, _)| owner);
            let repository = json!({
                "full_name": repository.as_str(), "name": repository.package(),
                "owner": {"login": owner}
            });
            payload.insert("repository".to_owned(), repository);
        }
        let asker = match event {
            Event::BuildAsked(asked) => Some(asked.actor.clone()),
            Event::Dispatch(dispatch) => Some(dispatch.actor.clone()),
            _ => None,
        };
        let (actor, fields) = match event {
            Event::Push(push) => {
                self.moved("push", &push.ref_name);
                (
                    &push.actor,
                    json!({
                        "ref": push.ref_name.as_str(),
                        "before": push.before.as_ref().map_or(NO_COMMIT, CommitId::as_str),
                        "after": push.after.as_str(), "forced": push.forced,
                        "created": push.before.is_none()
                    }),
                )
            }
            Event::BranchCreated(made) | Event::TagCreated(made) => {
                self.moved("push", &made.ref_name);
                (
                    &made.actor,
                    json!({
                        "ref": made.ref_name.as_str(), "before": NO_COMMIT,
                        "after": made.after.as_ref().map(CommitId::as_str), "forced": false,
                        "created": true
                    }),
                )
            }
            Event::Schedule(due) => {
                self.moved("schedule", &due.ref_name);
                (&None, json!({"schedule": due.cron}))
            }
            Event::BuildAsked(asked) => {
                self.moved("workflow_dispatch", &asked.ref_name);
                (&asker, json!({"ref": asked.ref_name.as_str(), "inputs": {}}))
            }
            Event::Dispatch(dispatch) => {
                self.moved("workflow_dispatch", &dispatch.ref_name);
                (&asker, json!({"ref": dispatch.ref_name.as_str(), "inputs": dispatch.inputs}))
            }
            Event::Rebuild(rebuild) => {
                self.moved("parent-image", &rebuild.ref_name);
                (&None, json!({"ref": rebuild.ref_name.as_str(), "because": rebuild.because}))
            }
            Event::PullRequest(pull) => (&pull.author, self.about_pull_request(pull)),
            Event::PullRequestActivity(activity) => {
                let mut fields = self.about_pull_request(&activity.pull);
                if let Some(label) = &activity.label {
                    fields["label"] = json!({"name": label});
                }
                (&activity.actor, fields)
            }
            Event::PullRequestClosed(closed) => {
                let Some(pull) = &closed.pull else { return };
                let mut fields = self.about_pull_request(pull);
                fields["pull_request"]["merged"] = closed.merged.into();
                (&closed.actor, fields)
            }
            // A comment becomes runs as the pull request that it is on.
            Event::PullRequestCommented(_) => return,
            // A run that is made again knows what it knew.
            Event::RerunAsked(_) => return,
            Event::BranchDeleted(_) | Event::TagDeleted(_) | Event::Ping(_) | Event::Ignored(_) => {
                return;
            }
        };
        self.fact("actor", actor.as_deref());
        self.fact("triggering_actor", actor.as_deref());
        if let Some(actor) = actor {
            payload.insert("sender".to_owned(), json!({"login": actor}));
            payload.insert("pusher".to_owned(), json!({"name": actor}));
        }
        if let Json::Object(fields) = fields {
            payload.extend(fields);
        }
        self.github.insert("event".to_owned(), Json::Object(payload));
    }

    /// An event about a ref; there is no pull request, and GitHub has empty text for its refs.
    fn moved(&mut self, name: &str, ref_name: &RefName) {
        self.fact("event_name", Some(name));
        self.ref_name(ref_name);
        self.fact("base_ref", Some(""));
        self.fact("head_ref", Some(""));
    }

    /// `ref` is where the commit that is built is found: the head, or its merge with the base.
    fn about_pull_request(&mut self, pull: &PullRequest) -> Json {
        self.fact("event_name", Some("pull_request"));
        let fetched = pull.fetch_ref();
        self.fact("ref", Some(&fetched));
        self.fact(
            "ref_name",
            Some(fetched.trim_start_matches("refs/").trim_start_matches("pull/")),
        );
        self.fact("ref_type", Some("branch"));
        self.fact("base_ref", Some(pull.base_ref.short()));
        self.fact("head_ref", Some(&pull.head_branch));
        let head_repository = pull.head_repository.as_ref().map(RepositoryName::as_str);
        json!({
            "action": pull.action.activity_type(), "number": pull.number, "label": null,
            "pull_request": {
                "number": pull.number, "user": {"login": pull.author}, "merged": false,
                "head": {
                    "ref": pull.head_branch, "sha": pull.head.as_str(),
                    "repo": {"full_name": head_repository}
                },
                "base": {
                    "ref": pull.base_ref.short(), "sha": pull.base.as_ref().map(CommitId::as_str),
                    "repo": {"full_name": pull.repository.as_str()}
                }
            }
        })
    }
}

/// What GitHub tells as the old head of a new branch.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

#[cfg(test)]
mod tests;
