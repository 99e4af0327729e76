//! What is right as written and probably wrong as meant: untrusted text in scripts, filters that
//! nothing reaches.

use std::collections::BTreeSet;

use super::availability::Key;
use super::sites::{Site, sites, sites_of_action};
use super::{Action, ActionFile, ActionRuns, JobBody, On, Step, StepsBody, Text, Workflow};
use crate::diagnostic::{Report, quoted};
use crate::expression::{self, Part, Reference};
use crate::matching::{Filter, FilterKind, Matcher, Pattern};

/// Values that a stranger can choose, as GitHub's page on script injections lists them
/// (<https://docs.github.com/en/actions/concepts/security/script-injections>); `*` is any part.
const UNTRUSTED: [&str; 24] = [
    "head_ref",
    "event.issue.title",
    "event.issue.body",
    "event.pull_request.title",
    "event.pull_request.body",
    "event.pull_request.head.ref",
    "event.pull_request.head.label",
    "event.pull_request.head.repo.default_branch",
    "event.comment.body",
    "event.review.body",
    "event.review_comment.body",
    "event.discussion.title",
    "event.discussion.body",
    "event.pages.*.page_name",
    "event.commits.*.message",
    "event.commits.*.author.email",
    "event.commits.*.author.name",
    "event.head_commit.message",
    "event.head_commit.author.email",
    "event.head_commit.author.name",
    "event.workflow_run.head_branch",
    "event.workflow_run.head_commit.message",
    "event.workflow_run.head_commit.author.email",
    "event.workflow_run.head_commit.author.name",
];

/// Commands in a script's output that files have taken the place of: how each begins, whether it
/// still has an effect, and what to write instead.
const OLD_COMMANDS: [(&str, bool, &str); 4] = [
    ("::set-output ", true, "echo \"NAME=VALUE\" >>\"$GITHUB_OUTPUT\""),
    ("::save-state ", true, "echo \"NAME=VALUE\" >>\"$GITHUB_STATE\""),
    ("::set-env ", false, "echo \"NAME=VALUE\" >>\"$GITHUB_ENV\""),
    ("::add-path::", false, "echo \"DIRECTORY\" >>\"$GITHUB_PATH\""),
];

/// Reports what the author should look at again.
pub(super) fn check(workflow: &Workflow, report: &mut Report) {
    scripts(&sites(workflow), report);
    for job in &workflow.jobs {
        if let JobBody::Steps(body) = &job.body {
            old_commands(&body.steps, report);
            passwords(body, report);
        }
    }
    ids(workflow, report);
    filters(&workflow.on, report);
}

/// The same for an action file.
pub(super) fn check_action(file: &ActionFile, report: &mut Report) {
    scripts(&sites_of_action(file), report);
    if let ActionRuns::Composite(steps) = &file.runs {
        old_commands(steps, report);
    }
}

/// A password that everybody reads who may read the file.
fn passwords(body: &StepsBody, report: &mut Report) {
    let services = body.services.iter().map(|service| &service.container);
    let containers = body.container.iter().chain(services);
    for credentials in containers.filter_map(|container| container.credentials.as_ref()) {
        let password = &credentials.password;
        if !password.has_expression() {
            let message = "`password` of `credentials` stands here for everybody to read";
            let hint = "keep it as a secret and write `${{ secrets.NAME }}`";
            report.warning_with_hint(password.at, message, hint);
        }
    }
}

/// What any output could hold, a stranger's text that is printed too, is no way to tell something.
fn old_commands(steps: &[Step], report: &mut Report) {
    for step in steps {
        match &step.action {
            Action::Run { script, .. } => old_commands_of(script, report),
            Action::Parallel(steps) => old_commands(steps, report),
            Action::Uses { .. } | Action::Wait(_) | Action::WaitAll | Action::Cancel(_) => {}
        }
    }
}

fn old_commands_of(script: &Text, report: &mut Report) {
    let lines = || script.value.lines().filter(|line| !line.trim_start().starts_with('#'));
    for (begin, works, instead) in OLD_COMMANDS {
        if !lines().any(|line| line.contains(begin)) {
            continue;
        }
        let name = quoted(begin.trim_end_matches([' ', ':']));
        let state = if works { "is deprecated" } else { "has no effect" };
        let message = format!("{name} {state}, since any output could hold it");
        report.warning_with_hint(script.at, message, format!("write {instead}"));
    }
}

/// Text of a stranger that becomes part of a script is a command of a stranger.
fn scripts(sites: &[Site<'_>], report: &mut Report) {
    let is_script = |site: &&Site<'_>| matches!(site.key, Key::StepRun | Key::ActionRun);
    for site in sites.iter().filter(is_script) {
        for (at, inside) in site.expressions() {
            let uses = expression::uses(inside).unwrap_or_default();
            let Some(name) = uses.references.iter().find_map(untrusted) else { continue };
            let message =
                format!("`github.{name}` is a stranger's text, and here it is part of a script");
            let hint =
                "give it to the script as a variable: `env: {VALUE: ${{ … }}}` and \"$VALUE\"";
            report.warning_with_hint(at, message, hint);
        }
    }
}

/// An `id` that no expression of its job names has no effect; most often the name in the
/// expression is the one that is misspelt.
fn ids(workflow: &Workflow, report: &mut Report) {
    let sites = sites(workflow);
    for job in &workflow.jobs {
        let JobBody::Steps(body) = &job.body else { continue };
        let own = sites.iter().filter(|site| site.job.is_some_and(|of| of.key == job.key));
        let (mut used, mut all) = (BTreeSet::new(), false);
        for (_, inside) in own.flat_map(Site::expressions) {
            let uses = expression::uses(inside).unwrap_or_default();
            for of_steps in
                uses.references.iter().filter(|one| one.context.eq_ignore_ascii_case("steps"))
            {
                match of_steps.path.first() {
                    Some(Part::Name(name)) => drop(used.insert(name.to_ascii_lowercase())),
                    Some(Part::Any) | None => all = true,
                }
            }
        }
        let known: Vec<String> = body
            .steps
            .iter()
            .filter_map(|step| Some(step.id.as_ref()?.value.to_ascii_lowercase()))
            .collect();
        // A name that no step has was told already, and is probably this one.
        if all || used.iter().any(|name| !known.contains(name)) {
            continue;
        }
        // Steps in the background are named by others without an expression.
        let sequential = body.steps.iter().filter(|step| step.background.is_none());
        for id in sequential.filter_map(|step| step.id.as_ref()) {
            if !used.contains(&id.value.to_ascii_lowercase()) {
                let message = format!(
                    "no expression of job `{}` names the step {}",
                    job.key.value,
                    quoted(&id.value)
                );
                report.warning(id.at, message);
            }
        }
    }
}

/// The untrusted value that a reference puts into a text, if it does.
fn untrusted(reference: &Reference) -> Option<&'static str> {
    let is_github = ["github", "forge", "forgejo"]
        .iter()
        .any(|name| reference.context.eq_ignore_ascii_case(name));
    if !is_github || !reference.is_output {
        return None;
    }
    UNTRUSTED.into_iter().find(|path| {
        let wanted: Vec<&str> = path.split('.').collect();
        wanted.len() == reference.path.len()
            && wanted.iter().zip(&reference.path).all(|(wanted, part)| match part {
                Part::Any => true,
                Part::Name(name) => *wanted == "*" || name.eq_ignore_ascii_case(wanted),
            })
    })
}

/// Why a pattern can match no name of its kind, where its beginning or its end tells.
fn matches_nothing(key: &str, name: &str) -> Option<&'static str> {
    match key {
        "paths" if name.starts_with('/') || name.starts_with("./") => {
            Some("paths begin at the top of the repository, without `/` or `./`")
        }
        "paths" if name.ends_with('/') => {
            Some("paths are those of files; write `**` behind the `/` for all below")
        }
        "branches" if name.starts_with("refs/heads/") => {
            Some("branches go by their short names, without `refs/heads/`")
        }
        "tags" if name.starts_with("refs/tags/") => {
            Some("tags go by their short names, without `refs/tags/`")
        }
        _ => None,
    }
}

fn filters(on: &On, report: &mut Report) {
    let push = on.push.iter().flat_map(|push| {
        [("branches", &push.branches), ("tags", &push.tags), ("paths", &push.paths)]
    });
    let pulls = on
        .pull_request
        .iter()
        .chain(&on.pull_request_target)
        .flat_map(|pull| [("branches", &pull.branches), ("paths", &pull.paths)]);
    for (key, filter) in push.chain(pulls) {
        filter.iter().for_each(|filter| unreachable(key, filter, report));
    }
}

/// A name that is written out and that a later pattern decides otherwise changes nothing. Of
/// patterns that can be told only where the later one matches everything.
fn unreachable(key: &str, filter: &Filter, report: &mut Report) {
    let patterns = filter.patterns();
    // No pattern is tried where there is but one.
    let matchers: Vec<Option<Matcher>> = patterns.iter().skip(1).map(Pattern::matcher).collect();
    for (place, pattern) in patterns.iter().enumerate() {
        let name = pattern.as_str().trim_start_matches('!');
        let later = &patterns[place + 1..];
        let later_matchers = &matchers[place..];
        let shown = quoted(pattern.as_str());
        if place == 0 && pattern.takes_back() {
            let message = format!("{shown} in `{key}` takes back what no pattern before it gave");
            report.warning(pattern.at(), message);
            continue;
        }
        if let Some(same) = later.iter().find(|other| other.as_str() == pattern.as_str()) {
            let message = format!("{shown} stands in `{key}` twice");
            report.warning(same.at(), message);
            continue;
        }
        if let Some(why) = matches_nothing(key, name) {
            let message = format!("{shown} in `{key}` matches nothing: {why}");
            report.warning(pattern.at(), message);
            continue;
        }
        let is_plain = !name.contains(['*', '?', '+', '[', '\\']);
        let is_all = |other: &&Pattern| other.as_str().trim_start_matches('!') == "**";
        let decided = later.iter().zip(later_matchers).rev().find(|(other, matcher)| {
            let matches = || matcher.as_ref().is_some_and(|matcher| matcher.matches(name));
            is_all(other) || (is_plain && matches())
        });
        if let Some((other, _)) = decided
            && other.takes_back() != pattern.takes_back()
        {
            let other = quoted(other.as_str());
            let message = format!("{shown} in `{key}` changes nothing: {other} comes later");
            let hint = match filter.kind() {
                FilterKind::Only => "the last pattern that matches decides; change the order",
                FilterKind::Except => "the last pattern that matches decides what is ignored",
            };
            report.warning_with_hint(pattern.at(), message, hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::workflow::parse;

    fn warnings(text: &str) -> Vec<String> {
        parse("w", text).unwrap().warnings.iter().map(ToString::to_string).collect()
    }

    fn script(script: &str) -> Vec<String> {
        warnings(&format!(
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: {script}\n"
        ))
    }

    #[test]
    fn a_strangers_text_in_a_script_is_told() {
        for dangerous in [
            "echo ${{ github.event.pull_request.title }}",
            "echo ${{ GITHUB.Head_Ref }}",
            "echo ${{ github.event.commits[0].message }}",
            "echo ${{ toJSON(github.event.commits.*.author.name) }}",
            "echo ${{ format('{0}', forge.event.issue.body) }}",
            "echo ${{ github.event['comment'].body || 'x' }}",
        ] {
            let found = script(dangerous);
            assert_eq!(found.len(), 1, "{dangerous}: {found:?}");
            assert!(found[0].starts_with("w:6:19: warning: `github."), "{found:?}");
            assert!(found[0].contains("is a stranger's text"), "{found:?}");
        }
    }

    #[test]
    fn what_cannot_carry_a_command_is_passed() {
        for harmless in [
            "echo ${{ github.sha }}",
            "echo ${{ contains(github.event.pull_request.title, 'fix') }}",
            "echo ${{ github.head_ref == 'main' }}",
            "echo ${{ github.event.pull_request.number }}",
        ] {
            assert_eq!(script(harmless), [""; 0], "{harmless}");
        }
        let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'echo \"$T\"', env: {T: '${{ github.head_ref }}'}}]\n";
        assert_eq!(warnings(text), [""; 0]);
    }

    #[test]
    fn commands_that_files_have_taken_the_place_of_are_told() {
        for (old, name, state, file) in [
            ("'echo \"::set-output name=a::b\"'", "::set-output", "is deprecated", "OUTPUT"),
            ("'echo ::save-state name=a::b'", "::save-state", "is deprecated", "STATE"),
            ("'echo ::set-env name=a::${{ github.sha }}'", "::set-env", "has no effect", "ENV"),
            ("'x; echo ::add-path::/x'", "::add-path", "has no effect", "PATH"),
        ] {
            let found = script(old);
            assert_eq!(found.len(), 1, "{old}: {found:?}");
            assert!(found[0].starts_with("w:6:14: warning: `::"), "{found:?}");
            assert!(found[0].contains(&format!("`{name}` {state}")), "{found:?}");
            assert!(found[0].contains(&format!(">>\"$GITHUB_{file}\"")), "{found:?}");
        }
        for fine in ["'echo a=b >>\"$GITHUB_OUTPUT\"'", "'# ::set-output name=a::b'", "set-env x"] {
            assert_eq!(script(fine), [""; 0], "{fine}");
        }
        let action = "runs:\n  using: composite\n  steps:\n    \
                      - {shell: sh, run: 'echo ::set-output name=a::b'}\n";
        let found = crate::workflow::parse_action("action.yml", action).unwrap().warnings;
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_password_in_the_file_is_told() {
        let job = |password: &str| {
            let credentials = format!("credentials: {{username: u, password: {password}}}");
            warnings(&format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    container: {{image: i, {credentials}}}\n    \
                 services: {{s: {{image: i, {credentials}}}}}\n    steps: [{{run: x}}]\n"
            ))
        };
        let found = job("hunter2");
        assert_eq!(found.len(), 2, "{found:?}");
        let (own, service) = ("w:5:64: warning: `password`", "w:6:67: warning: `password`");
        assert!(found[0].starts_with(own) && found[1].starts_with(service), "{found:?}");
        assert_eq!(job("'${{ secrets.P }}'"), [""; 0]);
    }

    #[test]
    fn ids_that_nothing_names_are_told() {
        let steps = |rest: &str| {
            warnings(&format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {{id: one, run: x}}\n      - run: {rest}\n"
            ))
        };
        let unused = "w:6:14: warning: no expression of job `a` names the step `one`";
        assert_eq!(steps("x"), [unused]);
        assert_eq!(steps("x ${{ steps.ONE.outcome }}"), [""; 0]);
        assert_eq!(steps("x ${{ toJSON(steps) }}"), [""; 0]);
    }

    #[test]
    fn patterns_that_change_nothing_are_told() {
        let branches = |list: &str| {
            warnings(&format!(
                "on: {{push: {{branches: [{list}]}}}}\njobs:\n  a:\n    runs-on: x\n"
            ))
        };
        for (list, expected) in [
            (
                "main, '!**'",
                "w:1:24: warning: `main` in `branches` changes nothing: `!**` comes later (hint: the last pattern that matches decides; change the order)",
            ),
            (
                "'f*', '!f42', 'f4*'",
                "w:1:30: warning: `!f42` in `branches` changes nothing: `f4*` comes later (hint: the last pattern that matches decides; change the order)",
            ),
            (
                "'!x', main",
                "w:1:24: warning: `!x` in `branches` takes back what no pattern before it gave",
            ),
            ("main, main", "w:1:30: warning: `main` stands in `branches` twice"),
            (
                "'f*', '!**'",
                "w:1:24: warning: `f*` in `branches` changes nothing: `!**` comes later (hint: the last pattern that matches decides; change the order)",
            ),
            (
                "refs/heads/main",
                "w:1:24: warning: `refs/heads/main` in `branches` matches nothing: branches go by their short names, without `refs/heads/`",
            ),
        ] {
            assert_eq!(branches(list), [expected], "{list}");
        }
        for path in ["./src/**", "/src", "src/"] {
            let text =
                format!("on: {{push: {{paths: ['{path}']}}}}\njobs:\n  a:\n    runs-on: x\n");
            let found = warnings(&text);
            assert!(found.len() == 1 && found[0].contains("matches nothing"), "{path}: {found:?}");
        }
        for fine in ["'f*', '!f42'", "main, 'm*'", "'**', '!docs', 'docs/x'"] {
            assert_eq!(branches(fine), [""; 0], "{fine}");
        }
    }
}
