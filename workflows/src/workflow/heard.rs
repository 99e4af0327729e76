//! What the jobs of a workflow name of those that call other files: outputs that these do not have.
//!
//! It can be told only once the called files are found, which is after the file itself was read.

use std::collections::BTreeMap;

use super::called::{CalledFile, name_of_call, own_name};
use super::known::field;
use super::{JobBody, Site, Workflow, parse, sites};
use crate::diagnostic::{Diagnostic, Report};
use crate::expression::{self, Part, Reference};

impl Workflow {
    /// What its author should know once the files that its jobs call are found; `path` only names
    /// this file. Of a call whose file is not known nothing is said.
    #[must_use]
    pub fn warnings_of_calls(&self, path: &str) -> Vec<Diagnostic> {
        let outputs = self.outputs_of_calls();
        let mut report = Report::new(path);
        if outputs.is_empty() {
            return Vec::new();
        }
        for site in sites(self) {
            for (at, inside) in site.expressions() {
                // What is no expression was reported when it was read.
                let Ok(uses) = expression::uses(inside) else { continue };
                for reference in &uses.references {
                    let Some((call, output)) = heard(&site, reference) else { continue };
                    let Some(outputs) = outputs.get(&call.to_ascii_lowercase()) else { continue };
                    let whole = format!("{}.{call}.outputs", reference.context);
                    let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
                    match field(&whole, output, &names) {
                        Err((message, Some(hint))) => report.warning_with_hint(at, message, hint),
                        Err((message, None)) => report.warning(at, message),
                        Ok(()) => {}
                    }
                }
            }
        }
        report.finish().unwrap_or_else(|found| found)
    }

    /// The outputs of each calling job, by its key in small letters.
    fn outputs_of_calls(&self) -> BTreeMap<String, Vec<String>> {
        let own = own_name(&self.path);
        let mut outputs = BTreeMap::new();
        for job in &self.jobs {
            let JobBody::Call { uses, .. } = &job.body else { continue };
            let Ok(name) = name_of_call(&own, &uses.value) else { continue };
            let Some(CalledFile::Text(text)) = self.called.get(&name) else { continue };
            // What is wrong with the file is told where it is called.
            let Ok(file) = parse(&name, text) else { continue };
            let Some(declared) = file.on.workflow_call else { continue };
            let names = declared.outputs.into_iter().map(|output| output.key.value);
            outputs.insert(job.key.value.to_ascii_lowercase(), names.collect());
        }
        outputs
    }
}

/// The job and the output that a reference names. A job that is not needed was reported when the
/// file was read.
fn heard<'r>(site: &Site<'_>, reference: &'r Reference) -> Option<(&'r str, &'r str)> {
    let [Part::Name(call), Part::Name(outputs), Part::Name(output), ..] = reference.path.as_slice()
    else {
        return None;
    };
    let needed =
        |job: &super::Job| job.needs.iter().any(|needed| needed.value.eq_ignore_ascii_case(call));
    let is_there = match reference.context.to_ascii_lowercase().as_str() {
        "needs" => site.job.is_some_and(needed),
        context => context == "jobs",
    };
    (is_there && outputs.eq_ignore_ascii_case("outputs")).then_some((call, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLED: &str = "on: {workflow_call: {outputs: {digest: {value: x}, size: {value: y}}}}\n\
        jobs: {a: {runs-on: x}}\n";

    /// What is said of a file whose jobs call `./b.yml`, and others that nobody has found.
    fn told(rest: &str) -> Vec<String> {
        let text = format!(
            "on: {{push: , workflow_call: {{outputs: {{o: {{value: x}}}}}}}}\njobs:\n  \
             call: {{uses: ./b.yml}}\n  other: {{uses: o/r/c.yml@v1}}\n  {rest}\n"
        );
        let mut workflow = parse("a.yml", &text).unwrap();
        workflow.called.insert("./b.yml".to_owned(), CalledFile::Text(CALLED.to_owned()));
        workflow.called.insert("o/r/c.yml@v1".to_owned(), CalledFile::Elsewhere);
        assert_eq!(workflow.warnings, []);
        workflow.warnings_of_calls("a.yml").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_output_that_the_called_file_does_not_have_is_a_warning() {
        let said = |name: &str| {
            told(&format!(
                "d: {{needs: [call, other], runs-on: x, name: '${{{{ needs.{name} }}}}'}}"
            ))
        };
        assert_eq!(said("call.outputs.digest"), [""; 0]);
        assert_eq!(said("CALL.Outputs.SIZE"), [""; 0]);
        assert_eq!(said("call.result"), [""; 0]);
        assert_eq!(said("call.outputs"), [""; 0]);
        assert_eq!(said("other.outputs.any"), [""; 0]);
        assert_eq!(
            said("call.outputs.digset"),
            ["a.yml:5:48: warning: `needs.call.outputs` has no `digset` (hint: did you mean \
              `needs.call.outputs.digest`?)"]
        );
        assert_eq!(
            said("call.outputs.version"),
            [
                "a.yml:5:48: warning: `needs.call.outputs` has no `version` (hint: it has digest, size)"
            ]
        );
    }

    #[test]
    fn outputs_of_a_workflow_that_calls_are_looked_at_too() {
        let text = "on: {workflow_call: {outputs: {o: {value: '${{ jobs.call.outputs.sise }}'}}}}\n\
                    jobs: {call: {uses: ./b.yml}}\n";
        let mut workflow = parse("a.yml", text).unwrap();
        workflow.called.insert("./b.yml".to_owned(), CalledFile::Text(CALLED.to_owned()));
        let found = workflow.warnings_of_calls("a.yml");
        assert!(
            found[0].to_string().contains("did you mean `jobs.call.outputs.size`?"),
            "{found:?}"
        );
    }
}
