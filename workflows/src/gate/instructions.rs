//! What the instructions of a Dockerfile may do: what they download, and what a RUN asks for. What
//! every builder refuses is refused here, before anything is built.

use std::collections::BTreeMap;

use super::images::in_words;
use super::problem::Problems;
use super::{Asked, ParentFacts};
use crate::dockerfile::{
    self, Add, ArgScope, DOCKER_ARCHITECTURE, Dockerfile, DockerfileError, ImageConfig,
    InstructionKind, Run, StageBase,
};
use crate::image::Digest;
use crate::release::{AddUrl, BuildPolicy};

/// Looks at instructions under the rules of a release.
pub(super) struct Check<'a> {
    pub(super) asked: &'a Asked,
    pub(super) policy: &'a BuildPolicy,
}

type Env = Vec<(String, String)>;

/// What a stage hands on to those that stand on it.
#[derive(Clone)]
struct End {
    env: Env,
    args: ArgScope,
    /// Whether all of it is known.
    known: bool,
}

impl Check<'_> {
    /// Looks at every instruction under the variables of its place: one of them may hold a URL.
    pub(super) fn look(
        &self,
        file: &Dockerfile,
        parents: &BTreeMap<usize, ParentFacts>,
        problems: &mut Problems,
    ) {
        let start = ArgScope::new(file, &self.asked.build_args);
        let bases = file.bases(&self.asked.build_args);
        // Whoever cannot tell what a stage stands on has said so before.
        let (Ok(start), Ok(bases)) = (start, bases) else { return };
        let mut ends: Vec<End> = Vec::with_capacity(bases.len());
        for (index, base) in bases.iter().enumerate() {
            if let Err(error) = start.check_platform(&file.stages[index], DOCKER_ARCHITECTURE) {
                problems.add(&self.asked.dockerfile, error.line, in_words(&error));
            }
            let on = |env: Env, known: bool| End { env, args: start.clone(), known };
            let mut end = match base {
                StageBase::Scratch => on(Env::new(), true),
                StageBase::Stage(earlier) => {
                    let mut end = ends[*earlier].clone();
                    end.args.begin_stage(&end.env);
                    end
                }
                StageBase::Image(_) => match parents.get(&index) {
                    Some(facts) => on(facts.env.clone().into_iter().collect(), true),
                    None => on(Env::new(), false),
                },
            };
            match self.stage(file, index, &mut end, problems) {
                Err(error) if end.known => {
                    problems.add(&self.asked.dockerfile, error.line, in_words(&error));
                }
                _ => {}
            }
            ends.push(end);
        }
    }

    fn stage(
        &self,
        file: &Dockerfile,
        index: usize,
        end: &mut End,
        problems: &mut Problems,
    ) -> Result<(), DockerfileError> {
        let stage = &file.stages[index];
        let mut config =
            ImageConfig { env: std::mem::take(&mut end.env), ..ImageConfig::default() };
        let mut walked = Ok(());
        for instruction in &stage.instructions {
            let message = match &instruction.kind {
                InstructionKind::Env(_) | InstructionKind::Arg(_) => {
                    walked = config.apply(instruction, &mut end.args);
                    None
                }
                InstructionKind::Add(_) => match end.args.expand(instruction, &config) {
                    Ok(expanded) => match expanded.kind {
                        InstructionKind::Add(add) => self.add(&add, end.known),
                        _ => None,
                    },
                    Err(error) => {
                        walked = Err(error);
                        None
                    }
                },
                InstructionKind::Copy(copy) => {
                    copy.from.as_deref().and_then(|from| later(file, index, from, true))
                }
                InstructionKind::Run(run) => {
                    let mut from = run.mounts.iter().filter_map(|mount| mount.from.as_deref());
                    let later = from.find_map(|from| later(file, index, from, false));
                    later.or_else(|| refused_run(run).map(ToOwned::to_owned))
                }
                _ => None,
            };
            if walked.is_err() {
                break;
            }
            if let Some(message) = message {
                // Only what the parent keeps stands in the line of FROM.
                let message = match instruction.line == stage.line {
                    true => format!("ONBUILD of the image: {message}"),
                    false => message,
                };
                problems.add(&self.asked.dockerfile, instruction.line, message);
            }
        }
        end.env = config.env;
        walked
    }

    /// What is wrong with an ADD, variables expanded; `known` when all of them are.
    fn add(&self, add: &Add, known: bool) -> Option<String> {
        let checksum = add.checksum.as_deref().filter(|checksum| !checksum.is_empty());
        let mut remote = add.transfer.sources.iter().filter(|source| is_remote(source));
        let Some(url) = remote.next() else {
            let of_remote = checksum.is_some() || add.keep_git_dir;
            return (of_remote && known).then(|| {
                "--checksum and --keep-git-dir are for sources on the network".to_owned()
            });
        };
        let shown = dockerfile::shown(url);
        let instead = "list the file in `sources` and COPY it";
        let why = match (self.policy.add_url, checksum) {
            (AddUrl::Refuse, _) => format!("is not allowed; {instead}"),
            (AddUrl::Checksum, _) if is_repository(url) => format!(
                "names a git repository, which builds do not fetch; ADD an archive of the commit \
                 with --checksum, or {instead}"
            ),
            (AddUrl::Checksum, None) => {
                format!("has no checksum; write --checksum=sha256:…, or {instead}")
            }
            (AddUrl::Checksum, Some(checksum)) => {
                if Digest::parse(checksum).is_err() {
                    "has a checksum that is none; write --checksum=sha256: with 64 digits"
                        .to_owned()
                } else if remote.next().is_some() {
                    "stands beside another URL; --checksum is for one source".to_owned()
                } else if !(url.starts_with("http://") || url.starts_with("https://")) {
                    "is neither http nor https".to_owned()
                } else {
                    return None;
                }
            }
        };
        Some(format!("ADD of `{shown}` {why}"))
    }
}

/// Whether a stage takes from one that is not built yet.
fn later(file: &Dockerfile, stage: usize, from: &str, by_index: bool) -> Option<String> {
    let source = file.stage_named(from, by_index)?;
    (source > stage).then(|| {
        let from = dockerfile::shown(from);
        format!("--from={from} names a later stage; put that one above this")
    })
}

/// What a RUN asks for that no build grants.
fn refused_run(run: &Run) -> Option<&'static str> {
    if run.security.as_deref().is_some_and(|security| security != "sandbox") {
        return Some("RUN --security=insecure is never granted: builds are confined");
    }
    match run.network.as_deref() {
        None | Some("default" | "none") => None,
        Some(_) => {
            Some("RUN --network knows `default`, which is what the release grants, and `none`")
        }
    }
}

/// Whether ADD would download this source: a URL, or a git repository as ssh writes it.
fn is_remote(source: &str) -> bool {
    let has_host = |rest: &str| rest.split_once(':').is_some_and(|(host, _)| !host.contains('/'));
    source.contains("://") || source.strip_prefix("git@").is_some_and(has_host)
}

/// Whether a builder would take this for a repository.
fn is_repository(source: &str) -> bool {
    let address = source.split('#').next().unwrap_or_default();
    let by_scheme = ["git@", "git://", "ssh://", "file://"];
    by_scheme.iter().any(|scheme| source.starts_with(scheme)) || address.ends_with(".git")
}
