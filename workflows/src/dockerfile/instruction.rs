//! What a Dockerfile's instructions say, each in its own type.
//!
//! All text is as written: variables are expanded later, by [`super::ArgScope::expand`], because
//! their values depend on what stands before.

use std::time::Duration;

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Number of its first line, from 1.
    pub line: usize,
    /// Number of its last line, bodies of here-documents included.
    pub end_line: usize,
    /// The logical line as written, continuation lines joined, without here-documents.
    pub original: String,
    /// What it says.
    pub kind: InstructionKind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstructionKind {
    /// Runs a command in the image.
    Run(Run),
    /// Takes files from the context, a stage or an image.
    Copy(Copy),
    /// Takes files from the context, an archive or a URL.
    Add(Add),
    /// Sets variables of the image.
    Env(Vec<(String, String)>),
    /// Declares build arguments, each with its default.
    Arg(Vec<(String, Option<String>)>),
    /// Sets labels.
    Label(Vec<(String, String)>),
    /// Sets the directory of what follows.
    Workdir(String),
    /// Sets the user of what follows.
    User(String),
    /// Sets the default command.
    Cmd(CommandLine),
    /// Sets the program.
    Entrypoint(CommandLine),
    /// Names ports, each as `8080`, `8080/udp` or `8000-8010/tcp`.
    Expose(Vec<String>),
    /// Names volumes.
    Volume(Vec<String>),
    /// Sets the signal that stops the container.
    StopSignal(String),
    /// Sets the shell of shell forms.
    Shell(Vec<String>),
    /// Sets how the container's health is told.
    HealthCheck(HealthCheck),
    /// Keeps an instruction for images that stand on this one.
    OnBuild(String),
    /// Names the author; the label of that name took its place.
    Maintainer(String),
}

impl InstructionKind {
    /// The instruction's name in capitals.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "RUN",
            Self::Copy(_) => "COPY",
            Self::Add(_) => "ADD",
            Self::Env(_) => "ENV",
            Self::Arg(_) => "ARG",
            Self::Label(_) => "LABEL",
            Self::Workdir(_) => "WORKDIR",
            Self::User(_) => "USER",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Expose(_) => "EXPOSE",
            Self::Volume(_) => "VOLUME",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Shell(_) => "SHELL",
            Self::HealthCheck(_) => "HEALTHCHECK",
            Self::OnBuild(_) => "ONBUILD",
            Self::Maintainer(_) => "MAINTAINER",
        }
    }
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// One text for the image's shell.
    Shell(String),
    /// Program and arguments, without a shell.
    Exec(Vec<String>),
}

/// A here-document: text that stands in the Dockerfile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// The lines up to that word, as written.
    pub body: String,
    /// Whether variables in the body are expanded: its terminator was not quoted.
    pub expand: bool,
    /// Whether leading tabs are taken away (`<<-`).
    pub strip_tabs: bool,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is mounted while it runs.
    pub mounts: Vec<Mount>,
    /// `--network`: `default`, `none` or `host`.
    pub network: Option<String>,
    /// `--security`: `sandbox` or `insecure`.
    pub security: Option<String>,
    /// The command.
    pub form: CommandLine,
    /// Here-documents of the command.
    pub heredocs: Vec<Heredoc>,
}

/// Where the files of a mount come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// The context, a stage or an image.
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret as a file or variable.
    Secret,
    /// An agent's socket.
    Ssh,
}

/// `RUN --mount=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What kind.
    pub kind: MountKind,
    /// A stage's name or an image; the context when `None`.
    pub from: Option<String>,
    /// Path in the source; the name of a secret, over `id`.
    pub source: Option<String>,
    /// Path in the container; as written, so it may be relative or hold variables.
    pub target: Option<String>,
    /// Name of the secret, agent or cache.
    pub id: Option<String>,
    /// Whether it cannot be written; `None` leaves it to the kind.
    pub read_only: Option<bool>,
    /// Whether the command may not run without the secret or agent.
    pub required: bool,
    /// Every other option in order, such as `sharing`, `mode`, `uid`, `size`, `env`.
    pub other: Vec<(String, String)>,
}

impl Mount {
    /// The name of the secret that it shows: as BuildKit has it `source`, else `id`, else the last
    /// part of the target; `None` where there is neither.
    #[must_use]
    pub fn secret_id(&self) -> Option<&str> {
        let of_target = || self.target.as_deref().and_then(|target| target.rsplit('/').next());
        let id = self.source.as_deref().or(self.id.as_deref()).or_else(of_target);
        id.filter(|id| !id.is_empty())
    }
}

/// What COPY and ADD have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Paths, patterns or URLs; here-documents stand in their own list.
    pub sources: Vec<String>,
    /// Here-documents, each of which becomes a file named as its terminator.
    pub heredocs: Vec<Heredoc>,
    /// Path in the image.
    pub dest: String,
    /// Owner and group.
    pub chown: Option<String>,
    /// Permissions.
    pub chmod: Option<String>,
    /// Patterns of files that are left out.
    pub exclude: Vec<String>,
    /// Whether the files make a layer that does not depend on those below.
    pub link: bool,
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// A stage's name or index, or an image; the context when `None`.
    pub from: Option<String>,
    /// Whether the sources' directories are made in the destination.
    pub parents: bool,
    /// What is copied where.
    pub transfer: Transfer,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// Digest of the one remote source.
    pub checksum: Option<String>,
    /// Whether `.git` is kept of a git source.
    pub keep_git_dir: bool,
    /// Whether archives are unpacked; `None` leaves it to where they come from.
    pub unpack: Option<bool>,
    /// What is added where.
    pub transfer: Transfer,
}

/// `HEALTHCHECK`. A duration of zero, and no retries, mean the engine's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// Time that one check may take.
    pub timeout: Duration,
    /// Time after the start in which failures do not count.
    pub start_period: Duration,
    /// Time between two checks in the start period.
    pub start_interval: Duration,
    /// Failures that make the container unhealthy.
    pub retries: u32,
}
