//! What a person may ask a branch for: its workflows with `workflow_dispatch`, and their inputs.

use super::Candidate;
use crate::diagnostic::{Diagnostic, Severity};
use crate::dispatch;
use crate::workflow::Input;

/// A workflow that runs when a person asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatchable {
    /// Its file, by which it is asked for.
    pub path: String,
    /// Its name.
    pub title: String,
    /// What may be said to it.
    pub inputs: Vec<Input>,
}

/// What a person may choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The workflows, in the order of their files.
    pub workflows: Vec<Dispatchable>,
    /// What is wrong with files of which nobody knows what they offer: of each the first fault.
    pub faults: Vec<Diagnostic>,
}

impl Offer {
    /// Finds out what these files offer. Of two that a request would name alike only the one that
    /// it would mean is offered.
    #[must_use]
    pub fn of(candidates: &[Candidate]) -> Self {
        let mut offer = Self::default();
        for (place, candidate) in candidates.iter().enumerate() {
            let path = &candidate.file.path;
            let workflow = match &candidate.workflow {
                Ok(workflow) => workflow,
                Err(found) => {
                    let error = found.iter().find(|one| one.severity == Severity::Error);
                    offer.faults.extend(error.or(found.first()).cloned());
                    continue;
                }
            };
            let Some(inputs) = &workflow.on.workflow_dispatch else { continue };
            let mut earlier = candidates[..place].iter();
            if earlier.any(|other| dispatch::is_named(path, &other.file.path, other.title())) {
                continue;
            }
            offer.workflows.push(Dispatchable {
                path: path.clone(),
                title: workflow.title().to_owned(),
                inputs: inputs.clone(),
            });
        }
        offer
    }

    /// The workflow of that file.
    #[must_use]
    pub fn workflow(&self, path: &str) -> Option<&Dispatchable> {
        self.workflows.iter().find(|workflow| workflow.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Origin, WorkflowFile, read};

    fn file(path: &str, origin: Origin, on: &str) -> WorkflowFile {
        let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: 'true'}}]}}}}\n");
        WorkflowFile { path: path.to_owned(), origin, blob: String::new(), text: Ok(text) }
    }

    #[test]
    fn only_what_a_request_would_reach_is_offered() {
        let candidates = read(vec![
            file(".strata/workflows/a.yml", Origin::Repository, "push"),
            file(".strata/workflows/b.yml", Origin::Repository, "workflow_dispatch"),
            file(
                ".strata/workflows/c.yml",
                Origin::Repository,
                "{workflow_dispatch: {inputs: {image: {required: true}}}}",
            ),
            file(".strata/workflows/d.yml", Origin::Repository, "[push"),
            file("b.yml", Origin::Operator, "workflow_dispatch"),
            file("e.yml", Origin::Operator, "[push, workflow_dispatch]"),
        ]);
        let offer = Offer::of(&candidates);
        let paths: Vec<&str> = offer.workflows.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, [".strata/workflows/b.yml", ".strata/workflows/c.yml", "e.yml"]);
        let inputs = &offer.workflow(".strata/workflows/c.yml").unwrap().inputs;
        assert!(inputs[0].required && inputs[0].name.value == "image");
        assert_eq!(offer.faults.len(), 1);
        assert_eq!(offer.faults[0].file, ".strata/workflows/d.yml");
        assert_eq!(offer.workflow("b.yml"), None);
    }
}
