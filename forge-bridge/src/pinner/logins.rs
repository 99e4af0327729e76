//! The logins that a workflow brings for its images.

use workflows::event::Trust;
use workflows::job::{Credentials, Known, Login};
use workflows::plan::Handed;
use workflows::state::Fault;

use super::{Pinner, Unpinnable, spec};
use crate::secrets::{self, GivingError, Recipient};
use crate::store::jobs::Ending;
use crate::store::pinning::UnpinnedJob;

/// What a job is handed that is part of no call.
static ALL: Handed = Handed::All;

/// The logins of a job's own container and of its services, in their order.
pub(super) struct Logins {
    pub(super) container: Option<Login>,
    pub(super) services: Vec<Option<Login>>,
}

impl Pinner {
    /// Evaluates the credentials of a job, as the runner will when it pulls. Secrets are read for
    /// jobs that have some, and for no others.
    pub(super) async fn logins(&self, job: &UnpinnedJob) -> Result<Logins, Unpinnable> {
        let draft = &job.draft;
        let of_services = || draft.services.iter().map(|service| service.credentials.as_deref());
        if draft.credentials.is_none() && of_services().all(|credentials| credentials.is_none()) {
            return Ok(Logins { container: None, services: vec![None; draft.services.len()] });
        }
        let given = secrets::given(&self.store, &self.vault, &recipient(job)).await;
        let secrets = given.map_err(from_vault)?;
        let contexts = spec::known(job);
        let (env, env_templates) = (&draft.env, &draft.env_templates);
        let known = Known { contexts: &contexts, env, env_templates, secrets: &secrets };
        let login = |credentials: Option<&Credentials>, place: &str| {
            let evaluated = credentials.map(|credentials| credentials.login(known)).transpose();
            evaluated.map_err(|why| Unpinnable::failure(refusal(job.trust, place, &why)))
        };
        let container =
            login(draft.credentials.as_deref(), &format!("`container` of job {}", draft.name))?;
        let services = draft.services.iter().map(|service| {
            let place = format!("service {} of job {}", service.name, draft.name);
            login(service.credentials.as_deref(), &place)
        });
        Ok(Logins { container, services: services.collect::<Result<_, _>>()? })
    }
}

fn recipient(job: &UnpinnedJob) -> Recipient<'_> {
    Recipient {
        run: job.run,
        trust: job.trust,
        forge: &job.forge,
        repository: &job.repository,
        ref_name: &job.ref_name,
        fetch_ref: &job.fetch_ref,
        names: &job.draft.secrets,
        handed: job.draft.within.as_ref().map_or(&ALL, |within| &within.secrets),
    }
}

fn refusal(trust: Trust, place: &str, why: &str) -> String {
    match trust {
        Trust::Trusted => format!("{place}: {why}"),
        Trust::Untrusted => format!("{place}: {why}; a stranger's change is given no secrets"),
    }
}

fn from_vault(error: GivingError) -> Unpinnable {
    match error {
        GivingError::Store(_) => {
            Unpinnable::Later { registry: None, fault: Fault::Bug, why: error.to_string() }
        }
        GivingError::Vault { .. } | GivingError::TooLarge => Unpinnable::Ends(Ending::error(
            Fault::Bug,
            format!("{error}; an operator has to see to it"),
        )),
    }
}
