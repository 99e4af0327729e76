//! `strata secret` and `strata variable`: what runs are given by name.

mod keys;

use std::io::{self, IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use forge_bridge::views::{
    NamedValueChanges, NamedValueKept, NamedValues, RemoveNamedValue, ScopeView, SetNamedValue,
};
use secrecy::SecretString;
use workflows::named_value::MAX_VALUE_BYTES;
use workflows::names::RepositoryName;

use self::keys::keys;
use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret; its value is read from standard input, without the line's end.
    Set(SetSecretArgs),
    /// List the names of secrets; no value is ever shown.
    List(ListArgs),
    /// Remove a secret.
    Remove(RemoveArgs),
    /// Show who set and removed secrets.
    History(ListArgs),
    /// Show which keys seal how many secrets, and what is to be done about them.
    Keys(ListArgs),
}

/// What to do with variables.
#[derive(Debug, Subcommand)]
pub(crate) enum VariableCommand {
    /// Set a variable.
    Set(SetVariableArgs),
    /// List variables and their values.
    List(ListArgs),
    /// Remove a variable.
    Remove(RemoveArgs),
    /// Show who set and removed variables.
    History(ListArgs),
}

/// Which secret to set.
#[derive(Debug, Args)]
pub(crate) struct SetSecretArgs {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    asked: Asked,
}

/// Which variable to set, and to what.
#[derive(Debug, Args)]
pub(crate) struct SetVariableArgs {
    #[command(flatten)]
    named: Named,
    /// Its value; read from standard input, without the line's end, when it is left out.
    value: Option<String>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    asked: Asked,
}

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    asked: Asked,
}

/// What to remove.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    asked: Asked,
}

/// A name and where it counts.
#[derive(Debug, Args)]
struct Named {
    /// Its name; case does not count.
    name: String,
    /// For this repository alone; without this and --namespace for the whole instance.
    #[arg(long, value_name = "PATH", conflicts_with = "namespace")]
    repository: Option<RepositoryName>,
    /// For every repository below this path.
    #[arg(long, value_name = "PATH")]
    namespace: Option<RepositoryName>,
    /// The forge, by the name in the bridge's configuration, where there is more than one.
    #[arg(long, value_name = "NAME")]
    forge: Option<String>,
}

/// On which branches a value counts.
#[derive(Debug, Args)]
struct Limits {
    /// Only on branches of this pattern (`*` stops at `/`, `**` does not), and then not for pull
    /// requests; may be given again.
    #[arg(long = "branch", value_name = "PATTERN")]
    branches: Vec<String>,
}

/// Whom to ask, and how to show the answer.
#[derive(Debug, Args)]
struct Asked {
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

/// What the calls and sentences about one kind are named.
#[derive(Debug, Clone, Copy)]
struct Kind {
    path: &'static str,
    one: &'static str,
}

const SECRET: Kind = Kind { path: "secrets", one: "secret" };
const VARIABLE: Kind = Kind { path: "variables", one: "variable" };

pub(crate) async fn secret(command: SecretCommand) -> Result<(), Failure> {
    match command {
        SecretCommand::Set(SetSecretArgs { named, limits, asked }) => {
            set(SECRET, named, from_stdin(SECRET)?, limits, asked).await
        }
        SecretCommand::List(args) => list(SECRET, args).await,
        SecretCommand::Remove(args) => remove(SECRET, args).await,
        SecretCommand::History(args) => history(SECRET, args).await,
        SecretCommand::Keys(args) => keys(args.asked).await,
    }
}

pub(crate) async fn variable(command: VariableCommand) -> Result<(), Failure> {
    match command {
        VariableCommand::Set(SetVariableArgs { named, value, limits, asked }) => {
            let value = match value {
                Some(value) => SecretString::from(value),
                None => from_stdin(VARIABLE)?,
            };
            set(VARIABLE, named, value, limits, asked).await
        }
        VariableCommand::List(args) => list(VARIABLE, args).await,
        VariableCommand::Remove(args) => remove(VARIABLE, args).await,
        VariableCommand::History(args) => history(VARIABLE, args).await,
    }
}

impl Named {
    fn scope(&self) -> ScopeView {
        ScopeView {
            forge: self.forge.clone(),
            namespace: self.namespace.clone(),
            repository: self.repository.clone(),
        }
    }
}

/// A value as it is piped in: an argument could be seen by everybody on the machine.
fn from_stdin(kind: Kind) -> Result<SecretString, Failure> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Failure::Usage(format!(
            "the value is read from standard input and would be seen as you type it: \
             `strata {} set NAME <FILE`",
            kind.one
        )));
    }
    let mut text = String::new();
    // A little more, so that the bridge says what is too long.
    let most = MAX_VALUE_BYTES as u64 + 1024;
    stdin.by_ref().take(most).read_to_string(&mut text).map_err(|error| {
        Failure::Usage(format!("the value cannot be read from standard input: {error}"))
    })?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretString::from(value.strip_suffix('\r').unwrap_or(value)))
}

async fn set(
    kind: Kind,
    named: Named,
    value: SecretString,
    limits: Limits,
    Asked { operator, asking }: Asked,
) -> Result<(), Failure> {
    let output = Output::new(asking.shown);
    let scope = named.scope();
    let request = SetNamedValue { name: named.name, scope, branches: limits.branches, value };
    let bridge = Bridge::at(&asking.bridge)?;
    let token_file = operator.token_file()?;
    let kept: NamedValueKept = bridge.post_json(&[kind.path, "set"], &token_file, &request).await?;
    tell(&output, &format!("{} {} is set for", kind.one, kept.name), &kept)
}

async fn remove(kind: Kind, args: RemoveArgs) -> Result<(), Failure> {
    let Asked { operator, asking } = args.asked;
    let output = Output::new(asking.shown);
    let scope = args.named.scope();
    let request = RemoveNamedValue { name: args.named.name, scope };
    let bridge = Bridge::at(&asking.bridge)?;
    let token_file = operator.token_file()?;
    let kept: NamedValueKept =
        bridge.post_json(&[kind.path, "remove"], &token_file, &request).await?;
    tell(&output, &format!("{} {} is removed from", kind.one, kept.name), &kept)
}

fn tell(output: &Output, done: &str, kept: &NamedValueKept) -> Result<(), Failure> {
    if output.is_json() {
        return Ok(output.json_line(kept)?);
    }
    Ok(output.line(&format!("{done} {}", shown(&kept.scope)))?)
}

async fn list(kind: Kind, args: ListArgs) -> Result<(), Failure> {
    let Asked { operator, asking } = args.asked;
    let output = Output::new(asking.shown);
    let bridge = Bridge::at(&asking.bridge)?;
    let list: NamedValues = bridge.get_json(&[kind.path], &operator.token_file()?).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.values.is_empty() {
        return Ok(output.line(&format!("There is no {}.", kind.one))?);
    }
    let row = |value: &forge_bridge::views::NamedValue| {
        vec![
            Cell::plain(&value.name),
            Cell::plain(shown(&value.scope)),
            Cell::plain(value.branches.join(" ")),
            Cell::plain(value.value.as_deref().unwrap_or_default()),
            Cell::plain(&value.set_by),
            output.ago(value.set_at),
        ]
    };
    let rows: Vec<Vec<Cell>> = list.values.iter().map(row).collect();
    Ok(output.table(&["NAME", "FOR", "BRANCHES", "VALUE", "SET BY", "WHEN"], &rows)?)
}

async fn history(kind: Kind, args: ListArgs) -> Result<(), Failure> {
    let Asked { operator, asking } = args.asked;
    let output = Output::new(asking.shown);
    let bridge = Bridge::at(&asking.bridge)?;
    let path = [kind.path, "history"];
    let list: NamedValueChanges = bridge.get_json(&path, &operator.token_file()?).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.changes.is_empty() {
        return Ok(output.line(&format!("Nobody has set a {} yet.", kind.one))?);
    }
    let row = |change: &forge_bridge::views::NamedValueChange| {
        vec![
            output.ago(change.at),
            Cell::plain(&change.by),
            Cell::plain(&change.change),
            Cell::plain(&change.name),
            Cell::plain(shown(&change.scope)),
            Cell::plain(change.branches.join(" ")),
        ]
    };
    let rows: Vec<Vec<Cell>> = list.changes.iter().map(row).collect();
    Ok(output.table(&["WHEN", "BY", "CHANGE", "NAME", "FOR", "BRANCHES"], &rows)?)
}

fn shown(scope: &ScopeView) -> String {
    let of = scope.forge.as_deref().map(|forge| format!(" of {forge}")).unwrap_or_default();
    match (&scope.namespace, &scope.repository) {
        (_, Some(repository)) => format!("{repository}{of}"),
        (Some(namespace), None) => format!("{namespace}/**{of}"),
        (None, None) => "the instance".to_owned(),
    }
}
