//! From the jobs of the file to the jobs of the run: those whose `if` holds, once for each
//! combination of their matrix.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::matrix::{Combination, Lists, list, rows, suffix};
use super::named::Named;
use super::place::strategy;
use super::{DraftAction, Drafting, JobDraft, MatrixPlace, Plan, StepDraft};
use crate::diagnostic::Diagnostic;
use crate::expression::Value;
use crate::facts::Facts;
use crate::template::{Kind, Template};
use crate::workflow::{Job, Located, MAX_JOBS, Matrix, Position, Strategy, Text, Workflow, order};

/// Longest name of a job of the run, in characters; it becomes a line of pages and statuses.
const MAX_NAME_CHARS: usize = 120;
/// Most text of all jobs of a run, in bytes; a matrix repeats the text of its job.
const MAX_PLAN_BYTES: usize = 4 * 1024 * 1024;

/// The combinations of a job. Without a matrix, or before it is known, there is an empty one.
struct Combinations {
    /// The lists' keys, in the order of the file.
    keys: Vec<String>,
    made: Vec<Combination>,
    fail_fast: bool,
    max_parallel: Option<u64>,
}

impl Default for Combinations {
    fn default() -> Self {
        Self { keys: Vec::new(), made: vec![Map::new()], fail_fast: true, max_parallel: None }
    }
}

/// Drafts the jobs of one key of the file again, when more is known: the run has its numbers, and
/// the jobs that it needs are over. `needs` is the context of that name, an object for each key.
///
/// # Errors
/// Everything in the job that cannot be done, in the order of the file.
pub fn drafts_of_key(
    path: &str,
    workflow: &Workflow,
    facts: &Facts,
    key: &str,
    needs: &Map<String, Json>,
) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
    Drafting::new(path, facts).of_key(workflow, key, needs)
}

/// A condition that is still of use when the needed jobs are over: one that may hold although the
/// run is cancelled.
fn asking(condition: &Text) -> Option<Template> {
    let template =
        Template { text: condition.value.clone(), at: condition.at, kind: Kind::Condition };
    template.asks_for_status().then_some(template)
}

impl Drafting<'_> {
    /// See [`drafts_of_key`].
    pub(super) fn of_key(
        mut self,
        workflow: &Workflow,
        key: &str,
        needs: &Map<String, Json>,
    ) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
        self.needs = Some(needs.clone());
        let mut drafts = Vec::new();
        if let Some(job) = workflow.jobs.iter().find(|job| job.key.value == key) {
            self.know(workflow, Some(job), Some(&Map::new()), &json!({}));
            drafts = self.drafts_of(workflow, job, job.condition.as_ref().and_then(asking));
        }
        for job in &drafts {
            self.refuse_what_stays(job);
        }
        self.report.finish()?;
        Ok(drafts)
    }

    pub(super) fn plan(&mut self, workflow: &Workflow) -> Plan {
        self.know(workflow, None, Some(&Map::new()), &json!({}));
        let mut plan = Plan::default();
        // A called workflow says nothing of the run.
        if self.within.is_none() {
            plan.texts = self.run_texts(workflow);
        }
        if let (Some(name), None) = (&workflow.run_name, self.within) {
            plan.run_name = self.literal(name, "`run-name`");
            // A name that cannot be told stops nothing: the workflow's own stands in for it.
            if !self.later.is_empty() {
                (plan.run_name, self.later) = (None, Vec::new());
            }
        }
        for place in order(&workflow.jobs, &mut self.report).unwrap_or_default() {
            let job = &workflow.jobs[place];
            let key = job.key.value.as_str();
            match self.condition_of(workflow, job, &plan) {
                Ok(condition) => plan.jobs.extend(self.drafts_of(workflow, job, condition)),
                Err(why) => plan.skipped.push((key.to_owned(), why)),
            }
        }
        if let (true, Some(first)) = (plan.jobs.len() > MAX_JOBS, workflow.jobs.first()) {
            let message = format!("the run has {} jobs; at most {MAX_JOBS}", plan.jobs.len());
            self.report.error(first.key.at, message);
        }
        plan
    }

    /// Says what expressions can name from here on.
    fn know(
        &mut self,
        workflow: &Workflow,
        job: Option<&Job>,
        matrix: Option<&Combination>,
        strategy: &Json,
    ) {
        let job = job.map(|job| job.key.value.as_str());
        self.context = self.facts.contexts(&self.title(workflow), job, matrix, strategy);
        if let Some(needs) = &self.needs {
            self.context.set("needs", Value::from(&Json::Object(needs.clone())));
        }
    }

    /// The condition of a job that is evaluated later, if there is one; an error says why the job
    /// does not run, as far as that is known now.
    fn condition_of(
        &mut self,
        workflow: &Workflow,
        job: &Job,
        plan: &Plan,
    ) -> Result<Option<Template>, String> {
        self.know(workflow, Some(job), Some(&Map::new()), &json!({}));
        self.later.clear();
        let at = job.condition.as_ref().map(|condition| condition.at);
        if !self.holds(job.condition.as_ref()) {
            let Position { line, .. } = at.unwrap_or_default();
            return Err(format!("its `if` in line {line} does not hold"));
        }
        // A condition such as `always()` may let it run nevertheless.
        if let Some(later) = self.later.pop() {
            return Ok(Some(later.template));
        }
        let skipped: BTreeSet<&str> = plan.skipped.iter().map(|(key, _)| key.as_str()).collect();
        match job.needs.iter().find(|needed| skipped.contains(needed.value.as_str())) {
            Some(missing) => Err(format!("it needs `{}`, which does not run", missing.value)),
            None => Ok(None),
        }
    }

    /// The drafts of one job of the file.
    fn drafts_of(
        &mut self,
        workflow: &Workflow,
        job: &Job,
        condition: Option<Template>,
    ) -> Vec<JobDraft> {
        let named = Named::of(workflow, job);
        let combinations = job.strategy.as_ref().and_then(|strategy| self.strategy(strategy));
        let shared = std::mem::take(&mut self.later);
        let is_provisional = self.needs.is_none() && named.waits_for_the_run();
        let mut drafts = Vec::new();
        let has_matrix = job.strategy.as_ref().is_some_and(|strategy| strategy.matrix.is_some());
        let is_made = combinations.is_some();
        if has_matrix && !is_made && self.needs.is_some() {
            // Nothing more will be known than now.
            shared.iter().for_each(|later| self.refuse_later(later));
            return Vec::new();
        }
        let Combinations { keys, made, fail_fast, max_parallel } = combinations.unwrap_or_default();
        let total = made.len();
        for (index, values) in made.into_iter().enumerate() {
            let strategy = strategy(fail_fast, index, total, max_parallel);
            let known = (is_made || !has_matrix).then_some(&values);
            self.know(workflow, Some(job), known, &strategy);
            self.later.clone_from(&shared);
            let Some(mut draft) = self.job(workflow, job) else { continue };
            draft.condition.clone_from(&condition);
            draft.is_provisional = is_provisional;
            draft.secrets = named.secrets();
            if is_made {
                let suffix = suffix(&values, &keys);
                draft.name = one_line(&format!("{} ({suffix})", job.key.value));
                // As on GitHub: a name that tells the jobs apart by itself stays as it is.
                if job.name.as_ref().is_none_or(|name| !name.has_expression()) {
                    draft.title = format!("{} ({suffix})", draft.title);
                }
                let key = job.key.value.clone();
                draft.matrix =
                    Some(MatrixPlace { key, values, index, total, fail_fast, max_parallel });
            }
            draft.title = one_line(&draft.title);
            self.bytes += bytes_of(&draft);
            if self.bytes > MAX_PLAN_BYTES {
                let message =
                    format!("the jobs of the run have more than {MAX_PLAN_BYTES} bytes of text");
                self.report.error(job.key.at, message);
                break;
            }
            drafts.push(draft);
        }
        tell_apart(&mut drafts);
        self.put_within(&mut drafts);
        drafts
    }

    fn strategy(&mut self, strategy: &Strategy) -> Option<Combinations> {
        let max_parallel = self.count_setting(strategy.max_parallel.as_ref(), "`max-parallel`");
        let fail_fast = self.truth_setting(strategy.fail_fast.as_ref(), "`fail-fast`");
        let matrix = strategy.matrix.as_ref()?;
        let lists = self.lists(matrix, strategy.at)?;
        let keys = lists.axes.iter().map(|(key, _)| key.clone()).collect();
        match lists.combinations() {
            Ok(made) if made.is_empty() => {
                self.report.error(strategy.at, "the matrix makes no job at all");
                None
            }
            Ok(made) => {
                let fail_fast = fail_fast.unwrap_or(true);
                Some(Combinations { keys, made, fail_fast, max_parallel })
            }
            Err(why) => {
                self.report.error(strategy.at, why);
                None
            }
        }
    }

    /// The lists of a matrix, evaluated; `None` when that is done later or cannot be.
    fn lists(&mut self, matrix: &Matrix, at: Position) -> Option<Lists> {
        let read = match matrix {
            Matrix::Expression(text) => {
                let value = self.evaluated(text, Kind::Value, "`matrix`")?;
                Lists::of_value(&value.to_json())
            }
            Matrix::Written { axes, include, exclude } => {
                let mut lists = Lists::default();
                for axis in axes {
                    let values = self.json(&axis.values)?;
                    match list(&axis.name.value, &values) {
                        Ok(values) => lists.axes.push((axis.name.value.clone(), values)),
                        Err(why) => {
                            self.report.error(axis.values.at, why);
                            return None;
                        }
                    }
                }
                let mut rows_of = |key, written: &Option<Located<Json>>| match written {
                    Some(written) => Some(rows(key, &self.json(written)?)),
                    None => Some(Ok(Vec::new())),
                };
                match (rows_of("include", include)?, rows_of("exclude", exclude)?) {
                    (Ok(include), Ok(exclude)) => Ok(Lists { include, exclude, ..lists }),
                    (Err(why), _) | (_, Err(why)) => Err(why),
                }
            }
        };
        read.map_err(|why| self.report.error(at, why)).ok()
    }

    /// A written value with each text in it evaluated.
    fn json(&mut self, written: &Located<Json>) -> Option<Json> {
        self.json_at(&written.value, written.at)
    }

    /// Recursion is bounded by the depth of the file.
    fn json_at(&mut self, json: &Json, at: Position) -> Option<Json> {
        match json {
            Json::String(text) if text.contains("${{") => {
                let template = Template { text: text.clone(), at, kind: Kind::Value };
                self.value_of(template, "`matrix`").as_ref().map(crate::expression::Value::to_json)
            }
            Json::Array(items) => {
                let items: Vec<Option<Json>> =
                    items.iter().map(|item| self.json_at(item, at)).collect();
                items.into_iter().collect()
            }
            Json::Object(map) => {
                let entry =
                    |(key, value): (&String, &Json)| Some((key.clone(), self.json_at(value, at)?));
                map.iter().map(entry).collect::<Option<Map<_, _>>>().map(Json::Object)
            }
            other => Some(other.clone()),
        }
    }
}

/// Two jobs of one name or one title would overwrite each other's statuses; those that come later
/// are numbered. Titles are shown by forges, which tell no difference between small and capital
/// letters.
fn tell_apart(drafts: &mut [JobDraft]) {
    let (mut names, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (number, draft) in drafts.iter_mut().enumerate() {
        let number = format!(" #{}", number + 1);
        if names.contains(&draft.name) {
            draft.name.push_str(&number);
        }
        names.insert(draft.name.clone());
        if titles.contains(&draft.title.to_lowercase()) {
            draft.title.push_str(&number);
        }
        titles.insert(draft.title.to_lowercase());
    }
}

/// A name that values became part of, fit to be shown.
fn one_line(name: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = name.chars().take(MAX_NAME_CHARS).map(line).collect();
    if name.chars().nth(MAX_NAME_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// How much text a draft holds.
fn bytes_of(draft: &JobDraft) -> usize {
    let table = |table: &BTreeMap<String, String>| -> usize {
        table.iter().map(|(key, value)| key.len() + value.len()).sum()
    };
    let step = |step: &StepDraft| {
        let action = match &step.action {
            DraftAction::Run { script, .. } | DraftAction::TestImage { script, .. } => script.len(),
            DraftAction::LayeredBuild { build_args, .. } => table(build_args),
            DraftAction::Action { with, .. } => table(with),
            DraftAction::Checkout => 0,
        };
        let later: usize = step.later.iter().map(|later| later.template.text.len()).sum();
        action + table(&step.env) + step.name.len() + later
    };
    let later = draft.later.iter().map(|later| &later.template);
    let templates = later.chain(draft.outputs.values()).chain(&draft.condition);
    let later: usize = templates.map(|template| template.text.len()).sum();
    table(&draft.env) + later + draft.steps.iter().map(step).sum::<usize>()
}
