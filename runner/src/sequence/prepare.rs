//! A step as written becomes a step to run: its expressions evaluated, in GitHub's order.

use std::collections::BTreeMap;

use workflows::expression::{Budget, Context, Value};
use workflows::job::{StepAction, StepPart, StepSpec, StepTemplate};
use workflows::workflow::MAX_TIMEOUT_MINUTES;

use super::evaluate::Evaluator;
use super::{Scope, Sequence};

/// The variables that the workflow gives a step.
pub(super) struct StepEnv {
    /// All of them.
    pub(super) all: BTreeMap<String, String>,
    /// Its own, and those of the steps that use the action which it is part of.
    pub(super) own: BTreeMap<String, String>,
}

/// A step with everything evaluated.
pub(super) struct Prepared {
    /// Its place in the job; `None` within an action.
    pub(super) place: Option<usize>,
    /// As shown.
    pub(super) name: String,
    /// How expressions name it.
    pub(super) id: Option<String>,
    /// All variables that the workflow gives it.
    pub(super) env: BTreeMap<String, String>,
    /// Those that are not the job's.
    pub(super) own_env: BTreeMap<String, String>,
    /// What it does.
    pub(super) action: StepAction,
    /// Whether its failure leaves the job as it is.
    pub(super) continues_on_error: bool,
    /// Its wall time.
    pub(super) minutes: Option<f64>,
}

impl Sequence<'_> {
    /// The variables of a step: the job's and its own.
    pub(super) async fn step_env(&self, scope: &Scope, step: &StepSpec) -> Result<StepEnv, String> {
        let mut all = self.env.clone();
        let mut own = BTreeMap::new();
        if let Some(frame) = &scope.frame {
            own.extend(frame.env.clone());
            own.extend(frame.variables());
            all.extend(own.clone());
        }
        let context = self.contexts(scope, &all);
        own.extend(step.env.clone());
        let later = step.later.clone();
        self.evaluate(move |evaluator| {
            own.extend(later_env(evaluator, &later, &context)?);
            all.extend(own.clone());
            Ok(StepEnv { all, own })
        })
        .await
    }

    /// The name of a step, as written where it cannot be evaluated.
    pub(super) async fn name_of(&self, step: &StepSpec, context: &Context) -> String {
        let later = step.later.iter().find(|later| later.part == StepPart::Name);
        let name = match later {
            None => None,
            Some(later) => {
                let (template, context) = (later.template.clone(), context.clone());
                let name = self.evaluate(move |evaluator| {
                    evaluator.value(&template, "`name`", &context, &mut Budget::default())
                });
                name.await.ok()
            }
        };
        let name = name.map_or_else(|| step.name.clone(), |name| name.to_text().to_string());
        let line = |c: char| if c.is_control() { ' ' } else { c };
        self.execution.log.masked(&name.chars().map(line).collect::<String>())
    }

    /// Whether a step begins.
    pub(super) async fn begins(
        &self,
        scope: &Scope,
        step: &StepSpec,
        context: &Context,
    ) -> Result<bool, String> {
        let (results, condition) = (scope.results.clone(), step.condition.clone());
        let context = context.clone();
        let begins = self.evaluate(move |evaluator| {
            evaluator.begins(&results, condition.as_ref(), "`if`", &context)
        });
        begins.await
    }

    /// Whether a step goes on when the job is cancelled while it runs.
    pub(super) fn survives(&self, scope: &Scope, step: &StepSpec, context: &Context) -> bool {
        let mut results = scope.results.clone();
        results.cancel();
        let condition = step.condition.as_ref();
        results.begins(condition, context, None, &mut Budget::default()).unwrap_or(false)
    }

    /// Evaluates all that is left of a step.
    pub(super) async fn prepared(
        &self,
        scope: &Scope,
        step: &StepSpec,
        env: StepEnv,
    ) -> Result<Prepared, String> {
        let context = self.contexts(scope, &env.all);
        let step = step.clone();
        self.evaluate(move |evaluator| prepared(evaluator, step, env, &context)).await
    }
}

/// The variables of a step that are evaluated.
fn later_env(
    evaluator: &Evaluator,
    later: &[StepTemplate],
    context: &Context,
) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    let mut budget = Budget::default();
    for later in later {
        let what = match &later.part {
            StepPart::Env(name) => format!("`env`.{name}"),
            StepPart::WholeEnv => "`env`".to_owned(),
            _ => continue,
        };
        let value = evaluator.value(&later.template, &what, context, &mut budget)?;
        match &later.part {
            StepPart::Env(name) => {
                env.insert(name.clone(), value.to_text().to_string());
            }
            _ => env.extend(texts(&value, &what)?),
        }
    }
    Ok(env)
}

fn prepared(
    evaluator: &Evaluator,
    step: StepSpec,
    env: StepEnv,
    context: &Context,
) -> Result<Prepared, String> {
    let mut budget = Budget::default();
    let mut action = step.action;
    for later in &step.later {
        let mut value = |what: &str| evaluator.value(&later.template, what, context, &mut budget);
        match (&later.part, &mut action) {
            (StepPart::Script, StepAction::Run { script, .. }) => {
                *script = value("`run`")?.to_text().to_string();
            }
            (StepPart::WorkingDirectory, StepAction::Run { working_directory, .. }) => {
                *working_directory = value("`working-directory`")?.to_text().to_string();
            }
            (StepPart::With(key), StepAction::Action { with, .. }) => {
                let text = value(&format!("`with`.{key}"))?.to_text().to_string();
                with.insert(key.clone(), text);
            }
            (StepPart::WholeWith, StepAction::Action { with, .. }) => {
                with.extend(texts(&value("`with`")?, "`with`")?);
            }
            _ => {}
        }
    }
    let mut value = |template, what: &str| evaluator.value(template, what, context, &mut budget);
    let continues_on_error = match &step.continue_on_error {
        None => false,
        Some(template) => truth(&value(template, "`continue-on-error`")?)?,
    };
    let minutes = match &step.timeout_minutes {
        None => None,
        Some(template) => Some(minutes(&value(template, "`timeout-minutes`")?)?),
    };
    let StepEnv { all: env, own: own_env } = env;
    let (id, name) = (step.id, step.name);
    Ok(Prepared { place: None, name, id, env, own_env, action, continues_on_error, minutes })
}

/// The entries of an object, as texts.
fn texts(value: &Value, what: &str) -> Result<Vec<(String, String)>, String> {
    match value {
        Value::Object(entries) => Ok(entries
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_text().to_string()))
            .collect()),
        other => Err(format!("the expression in {what} must give an object, not {}", other.kind())),
    }
}

fn truth(value: &Value) -> Result<bool, String> {
    match value.to_text().as_ref() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        other => Err(format!("`continue-on-error` must be `true` or `false`, not `{other}`")),
    }
}

fn minutes(value: &Value) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "a week has few minutes")]
    const MAX: f64 = MAX_TIMEOUT_MINUTES as f64;
    match value.to_text().parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= MAX => Ok(minutes),
        _ => Err(format!(
            "`timeout-minutes` must be a number up to {MAX_TIMEOUT_MINUTES}, not `{}`",
            value.to_text()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_what_expressions_give() {
        assert_eq!(truth(&Value::Bool(true)), Ok(true));
        assert_eq!(truth(&Value::from("false")), Ok(false));
        assert_eq!(truth(&Value::Null), Ok(false));
        assert!(truth(&Value::from("maybe")).unwrap_err().contains("maybe"));
        assert_eq!(minutes(&Value::Number(1.5)), Ok(1.5));
        assert_eq!(minutes(&Value::from("3")), Ok(3.0));
        for wrong in ["0", "-1", "nan", "inf", "20000", ""] {
            assert!(minutes(&Value::from(wrong)).is_err(), "{wrong}");
        }
        let object = Value::from(&serde_json::json!({"a": 1, "b": true}));
        let expected = [("a", "1"), ("b", "true")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(texts(&object, "`env`").unwrap(), expected);
        assert!(texts(&Value::Null, "`env`").is_err());
    }
}
