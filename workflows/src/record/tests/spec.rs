//! A job whose build becomes a record.

use super::*;

pub(super) fn spec(source: &RecordedSource) -> JobSpec {
    let action = StepAction::LayeredBuild(Box::new(build()));
    JobSpec {
        name: "build".to_owned(),
        source: Source {
            forge: source.forge.clone(),
            repository: source.repository.clone(),
            clone_url: "https://forge.example/containers/httpd.git".to_owned(),
            ref_name: source.ref_name.clone(),
            fetch_ref: source.ref_name.to_string(),
            commit: source.commit.clone(),
        },
        release: "f43".to_owned(),
        trust: Trust::Trusted,
        image: None,
        credentials: None,
        env: Default::default(),
        steps: vec![StepSpec {
            name: "build".to_owned(),
            env: Default::default(),
            action,
            id: None,
            condition: None,
            continue_on_error: None,
            timeout_minutes: None,
            later: Vec::new(),
        }],
        limits: Limits::default(),
        network: Network::None,
        egress: Vec::new(),
        runs_on: vec!["docker".to_owned()],
        contexts: Default::default(),
        env_templates: Default::default(),
        outputs: Default::default(),
        services: Vec::new(),
        container: Default::default(),
        actions: crate::job::ActionPins::default(),
    }
}
