//! The tables of Dockerfiles. `BASE` stands for the base image.

mod language;
mod mounts;
mod running;
mod transfers;

/// Whose image ours is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Oracle {
    /// The engine's own builder.
    Classic,
    /// BuildKit in the engine, for what the other does not know or does differently.
    BuildKit,
    /// BuildKit builds it; here it is refused with these words.
    RefusedHere(&'static str),
    /// BuildKit makes one thing of it that we do otherwise on purpose.
    OneDifference(&'static str),
    /// What the engine makes of another text, because version 20.10 does not know this one.
    SameAs(&'static str),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) oracle: Oracle,
    pub(crate) dockerfile: &'static str,
    pub(crate) build_args: &'static [&'static str],
    pub(crate) target: Option<&'static str>,
}

const fn case(name: &'static str, oracle: Oracle, dockerfile: &'static str) -> Case {
    Case { name, oracle, dockerfile, build_args: &[], target: None }
}

impl Case {
    const fn with_args(self, build_args: &'static [&'static str]) -> Self {
        Self { build_args, ..self }
    }

    const fn with_target(self, target: &'static str) -> Self {
        Self { target: Some(target), ..self }
    }
}

use Oracle::{BuildKit, Classic, OneDifference, SameAs};

/// Every row, from the simplest on.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let tables = [FIRST, language::CASES, transfers::CASES, mounts::CASES, running::CASES];
    tables.into_iter().flatten()
}

const FIRST: &[Case] = &[
    case("from alone", Classic, "FROM BASE\n"),
    case("scratch with a file", Classic, "FROM scratch\nCOPY f /f\n"),
    case(
        "scratch with metadata and a directory",
        Classic,
        "FROM scratch\nCOPY d /\nCMD [\"/x\"]\n",
    ),
    case("label", Classic, "FROM BASE\nLABEL a=b c=\"d e\" f='g h'\n"),
    case("label old form", Classic, "FROM BASE\nLABEL name some value here\n"),
    case("env", Classic, "FROM BASE\nENV A=1 B=\"two three\" C=$FROM_BASE\n"),
    case("env old form", Classic, "FROM BASE\nENV A one two\n"),
    case("env uses earlier", Classic, "FROM BASE\nENV A=1\nENV B=${A}2 C=${NONE:-x} D=${A:+y}\n"),
    case("env overrides", Classic, "FROM BASE\nENV FROM_BASE=no\n"),
    case("cmd shell", Classic, "FROM BASE\nCMD echo hi\n"),
    case("cmd exec", Classic, "FROM BASE\nCMD [\"a\",\"b\"]\n"),
    case("entrypoint clears cmd", Classic, "FROM BASE\nENTRYPOINT [\"/e\"]\n"),
    case("entrypoint shell", Classic, "FROM BASE\nENTRYPOINT exec top -b\n"),
    case("cmd then entrypoint", Classic, "FROM BASE\nCMD [\"c\"]\nENTRYPOINT [\"/e\"]\n"),
    case("expose", Classic, "FROM BASE\nEXPOSE 80 53/udp 8000-8002\n"),
    case("volume words", Classic, "FROM BASE\nVOLUME /v1 /v2\n"),
    case("volume list", Classic, "FROM BASE\nVOLUME [\"/v 1\"]\n"),
    case("stopsignal", Classic, "FROM BASE\nSTOPSIGNAL SIGKILL\n"),
    case("shell", Classic, "FROM BASE\nSHELL [\"/bin/sh\",\"-ec\"]\nCMD x\n"),
    case(
        "healthcheck",
        Classic,
        "FROM BASE\nHEALTHCHECK --interval=5s --timeout=3s --retries=4 CMD true\n",
    ),
    case("healthcheck none", Classic, "FROM BASE\nHEALTHCHECK NONE\n"),
    case(
        "healthcheck exec",
        Classic,
        "FROM BASE\nHEALTHCHECK --start-period=1m CMD [\"a\",\"b\"]\n",
    ),
    case("onbuild", Classic, "FROM BASE\nONBUILD RUN true\nONBUILD COPY f /f\n"),
    case("maintainer", Classic, "FROM BASE\nMAINTAINER somebody <a@b.example>\n"),
    case("user", Classic, "FROM BASE\nUSER app\n"),
    case("user and group", Classic, "FROM BASE\nUSER 5:6\n"),
    case("user from variable", Classic, "FROM BASE\nENV U=app\nUSER $U\n"),
    case("workdir", Classic, "FROM BASE\nWORKDIR /a/b\nWORKDIR c\n"),
    case("workdir through a link", Classic, "FROM BASE\nWORKDIR /bin/new\n"),
    case("workdir that is there", Classic, "FROM BASE\nWORKDIR /tmp\n"),
    case("workdir with variable", Classic, "FROM BASE\nENV D=/q\nWORKDIR $D/r\n"),
    case("escapes", Classic, "FROM BASE\nENV A=\\$x B=a\\ b\nLABEL c=\"\\\"q\\\"\"\n"),
    case("copy file", Classic, "FROM BASE\nCOPY f /f\n"),
    case("copy to directory", Classic, "FROM BASE\nCOPY f /new/dir/\n"),
    case("copy to existing directory", Classic, "FROM BASE\nCOPY f /tmp\n"),
    case("copy rename", Classic, "FROM BASE\nCOPY f /new/name\n"),
    case("copy several", Classic, "FROM BASE\nCOPY f x.sh /bin/\n"),
    case("copy list form", Classic, "FROM BASE\nCOPY [\"sp ace\", \"/sp ace\"]\n"),
    case("copy directory", Classic, "FROM BASE\nCOPY d /d\n"),
    case("copy directory slash", Classic, "FROM BASE\nCOPY d/ /d/\n"),
    case("copy directory into existing", Classic, "FROM BASE\nCOPY d /tmp\n"),
    case("copy all", BuildKit, "FROM BASE\nCOPY . /all\n"),
    case("copy into image directories", Classic, "FROM BASE\nCOPY root /\n"),
    case("copy wildcard", Classic, "FROM BASE\nCOPY *.txt /txt/\n"),
    case("copy wildcard class", Classic, "FROM BASE\nCOPY many/[12].c /c/\n"),
    case("copy wildcard question", Classic, "FROM BASE\nCOPY many/?.h /h/\n"),
    case("copy wildcard directory", Classic, "FROM BASE\nCOPY m*y /m/\n"),
    case("copy through a link", Classic, "FROM BASE\nCOPY f /bin/f\n"),
    case("copy through a link of directories", Classic, "FROM BASE\nCOPY d /var/x\n"),
    case("copy relative", Classic, "FROM BASE\nWORKDIR /w\nCOPY f .\n"),
    case("copy relative below", Classic, "FROM BASE\nWORKDIR /w\nCOPY f sub/\n"),
    case("copy dot slash", Classic, "FROM BASE\nCOPY ./d/../f /f\n"),
    case("copy setuid", BuildKit, "FROM BASE\nCOPY suid /suid\n"),
    case("copy secret", Classic, "FROM BASE\nCOPY secret /s\n"),
    case("copy private directory", Classic, "FROM BASE\nCOPY private /private\n"),
    case("copy empty directory", Classic, "FROM BASE\nCOPY d/empty /empty\n"),
    case("copy link to file", Classic, "FROM BASE\nCOPY to-file /t\n"),
    case("copy link to directory", Classic, "FROM BASE\nCOPY to-dir /t\n"),
    case("copy hidden", Classic, "FROM BASE\nCOPY .hidden /h\n"),
    case("copy chown numbers", Classic, "FROM BASE\nCOPY --chown=5:6 d /d\n"),
    case("copy chown name", Classic, "FROM BASE\nCOPY --chown=app f /f\n"),
    case("copy chown name and group", Classic, "FROM BASE\nCOPY --chown=app:extra d /d\n"),
    case("copy chown lone number", Classic, "FROM BASE\nCOPY --chown=5 f /f\n"),
    case("copy chown new directories", Classic, "FROM BASE\nCOPY --chown=5:6 f /n/m/f\n"),
    case("copy after user", Classic, "FROM BASE\nUSER app\nCOPY f /f\n"),
    case("copy twice", Classic, "FROM BASE\nCOPY f /x\nCOPY a.txt /x\n"),
    case("copy directory over directory", Classic, "FROM BASE\nCOPY d /d\nCOPY e /d\n"),
    case("copy variable", Classic, "FROM BASE\nENV V=f\nCOPY $V /$V\n"),
    case("copy argument", Classic, "FROM BASE\nARG V=f\nCOPY ${V} /g\n"),
    case("copy keeps sticky parents", Classic, "FROM BASE\nCOPY f /tmp/f\n"),
    case("add file", Classic, "FROM BASE\nADD f /f\n"),
    case("add archive", Classic, "FROM BASE\nADD archive.tar /a/\n"),
    case("add gzip archive", Classic, "FROM BASE\nADD archive.tgz /a\n"),
    case("add gzip file", Classic, "FROM BASE\nADD f.gz /g/\n"),
    case("add directory", Classic, "FROM BASE\nADD d /d\n"),
    case("copy archive stays", Classic, "FROM BASE\nCOPY archive.tar /a/\n"),
    case("run file", Classic, "FROM BASE\nRUN echo hi > /hi\n"),
    case("run nothing", Classic, "FROM BASE\nRUN true\n"),
    case(
        "run exec form",
        Classic,
        "FROM BASE\nRUN [\"/bin/sh\", \"-c\", \"echo $HOME > /home\"]\n",
    ),
    case("run environment", Classic, "FROM BASE\nENV A=1\nRUN echo $A $PATH > /e\n"),
    case("run argument", Classic, "FROM BASE\nARG X=5\nRUN echo $X > /x\n"),
    case("run remove", Classic, "FROM BASE\nRUN rm /var/lib/x/old\n"),
    case("run remove directory", Classic, "FROM BASE\nRUN rm -r /var/lib/x\n"),
    case(
        "run replace directory",
        Classic,
        "FROM BASE\nRUN rm -r /var/lib/x && mkdir /var/lib/x && echo n > /var/lib/x/n\n",
    ),
    case("run move", Classic, "FROM BASE\nRUN mv /var/lib/x /var/lib/y\n"),
    case("run hard links", Classic, "FROM BASE\nRUN echo a > /a && ln /a /b && ln -s a /c\n"),
    case("run link to lower", Classic, "FROM BASE\nRUN ln /var/lib/x/old /var/lib/x/new\n"),
    case("run modes", Classic, "FROM BASE\nRUN touch /m && chmod 4711 /m && mkdir -m 1777 /s\n"),
    case(
        "run owners",
        Classic,
        "FROM BASE\nRUN touch /o && chown app:extra /o && chown -R 5:6 /var/lib/x\n",
    ),
    case("run fifo", Classic, "FROM BASE\nRUN mkfifo /p\n"),
    case(
        "run as user",
        Classic,
        "FROM BASE\nUSER app\nRUN id -u > /tmp/u && id -g >> /tmp/u && id -G >> /tmp/u\n",
    ),
    case("run as user and group", Classic, "FROM BASE\nUSER app:extra\nRUN id > /tmp/i\n"),
    case("run in workdir", Classic, "FROM BASE\nWORKDIR /w\nRUN pwd > here\n"),
    case(
        "run after copy",
        Classic,
        "FROM BASE\nCOPY d /d\nRUN cat /d/one > /o && rm /d/two && echo x >> /d/sub/three\n",
    ),
    case("run then copy", Classic, "FROM BASE\nRUN mkdir /r && echo 1 > /r/a\nCOPY f /r/b\n"),
    case("run removes copy", Classic, "FROM BASE\nCOPY f /f\nRUN rm /f\n"),
    case(
        "run shell",
        Classic,
        "FROM BASE\nSHELL [\"/bin/sh\",\"-ec\"]\nRUN false || echo x > /s\n",
    ),
    case("run touches hosts", Classic, "FROM BASE\nRUN cat /etc/hosts > /tmp/h; rm /tmp/h\n"),
    case("run home", Classic, "FROM BASE\nUSER app\nRUN echo $HOME > /tmp/h\n"),
    case("run large", Classic, "FROM BASE\nRUN dd if=/dev/zero of=/big bs=1M count=5\n"),
    case("run chmod root", Classic, "FROM BASE\nRUN chmod 700 /var && chmod 750 /root\n"),
    case("run umask", Classic, "FROM BASE\nRUN umask > /um && mkdir /d2 && touch /f2\n"),
    case("run rename over", Classic, "FROM BASE\nCOPY a.txt /1\nCOPY b.txt /2\nRUN mv /1 /2\n"),
    case(
        "run directory becomes file",
        Classic,
        "FROM BASE\nRUN rm -r /var/lib/x && echo f > /var/lib/x\n",
    ),
    case(
        "run file becomes directory",
        Classic,
        "FROM BASE\nRUN rm /var/lib/x/old && mkdir /var/lib/x/old\n",
    ),
    case("continuation", Classic, "FROM BASE\nRUN echo a \\\n  # comment\n  && echo b > /b\n"),
    case("argument default", Classic, "FROM BASE\nARG A=1\nLABEL a=$A\n"),
    case("argument hidden by env", Classic, "FROM BASE\nARG A=1\nENV A=2\nLABEL a=$A\n"),
    case("argument given", Classic, "FROM BASE\nARG A=1\nARG B\nLABEL a=$A b=$B\n")
        .with_args(&["A=2", "B=3"]),
    case("argument before from", Classic, "ARG T=BASE\nFROM $T\nARG T\nLABEL a=b\n"),
    case("argument not declared", Classic, "FROM BASE\nRUN echo \"[$A]\" > /a\n")
        .with_args(&["A=2"]),
    case("proxy argument", Classic, "FROM BASE\nRUN echo \"[$http_proxy]\" > /a\n")
        .with_args(&["http_proxy=http://p.example"]),
    case(
        "two stages",
        Classic,
        "FROM BASE AS b\nRUN mkdir /out && echo o > /out/o && chown 5:6 /out/o\nFROM BASE\nCOPY --from=b /out /in\n",
    ),
    case(
        "stage by number",
        Classic,
        "FROM BASE\nRUN echo o > /o\nFROM scratch\nCOPY --from=0 /o /o\n",
    ),
    case(
        "stage on stage",
        Classic,
        "FROM BASE AS a\nENV X=1\nRUN echo a > /a\nFROM a\nRUN cat /a > /b\n",
    ),
    case("target", Classic, "FROM BASE AS a\nLABEL s=a\nFROM BASE AS b\nLABEL s=b\n")
        .with_target("a"),
    case("unused stage", BuildKit, "FROM BASE AS bad\nRUN false\nFROM BASE\nLABEL a=b\n"),
    case(
        "stage copies links",
        BuildKit,
        "FROM BASE AS b\nRUN mkdir /o && echo 1 > /o/a && ln -s a /o/l && ln /o/a /o/h\nFROM BASE\nCOPY --from=b /o /o\n",
    ),
    case(
        "copy from an image",
        Classic,
        "FROM scratch\nCOPY --from=BASE /etc/passwd /etc/group /e/\n",
    ),
    case(
        "copy from stage chown",
        Classic,
        "FROM BASE AS b\nRUN mkdir /o && echo 1 > /o/a\nFROM BASE\nCOPY --from=b --chown=app:app /o /o\n",
    ),
    case("chmod", BuildKit, "FROM BASE\nCOPY --chmod=700 d /d\n"),
    // Version 20.10 keeps the bit that nobody wrote; later ones do not.
    case(
        "chmod of a program of its owner",
        OneDifference("/suid: ours Some(Shown(\"Regular 100644"),
        "FROM BASE\nCOPY --chmod=644 suid /suid\n",
    ),
    case("chmod of a sticky directory", BuildKit, "FROM BASE\nCOPY --chmod=755 t /t\n"),
    // Version 20.10 drops the setuid bit without a word.
    case(
        "chmod file",
        OneDifference("/f: ours Some(Shown(\"Regular 104755"),
        "FROM BASE\nCOPY --chmod=4755 f /f\n",
    ),
    case(
        "heredoc run",
        SameAs("FROM BASE\nRUN echo a > /a && echo b > /b\n"),
        "FROM BASE\nRUN <<EOF\necho a > /a\necho b > /b\nEOF\n",
    ),
    case(
        "heredoc copy",
        SameAs("FROM BASE\nRUN mkdir /h && echo x /usr/bin > /h/EOF && echo y '$PATH' > /h/EOT\n"),
        "FROM BASE\nCOPY <<EOF <<'EOT' /h/\nx $PATH\nEOF\ny $PATH\nEOT\n",
    ),
    case(
        // Version 20.10 leaves the place that was mounted on in the image.
        "mount tmpfs",
        OneDifference("/t/: ours None"),
        "FROM BASE\nRUN --mount=type=tmpfs,target=/t echo a > /t/a && ls /t > /l\n",
    ),
    case(
        "run network none",
        SameAs("FROM BASE\nRUN echo a > /a\n"),
        "FROM BASE\nRUN --network=none echo a > /a\n",
    ),
    case("buildkit workdir of user", BuildKit, "FROM BASE\nUSER app\nWORKDIR /w/x\n"),
    case("buildkit copy directory", BuildKit, "FROM BASE\nCOPY d /d\n"),
    case("copy all on scratch", BuildKit, "FROM scratch\nCOPY . /\nCMD [\"/f\"]\n"),
    case("buildkit copy wildcard", BuildKit, "FROM BASE\nCOPY m*y /m/\n"),
    case("buildkit chown directories", BuildKit, "FROM BASE\nCOPY --chown=5:6 f /n/m/f\n"),
    case("buildkit private directory", BuildKit, "FROM BASE\nCOPY private /private\n"),
    case("buildkit add archive", BuildKit, "FROM BASE\nADD archive.tgz /a\n"),
    case("buildkit copy root", BuildKit, "FROM BASE\nCOPY root /\n"),
    case("buildkit run removes", BuildKit, "FROM BASE\nRUN rm -r /var/lib/x\n"),
    case("absent file", Classic, "FROM BASE\nCOPY nothing /x\n"),
    case("ignored file", Classic, "FROM BASE\nCOPY c.md /x\n"),
    case("several to a file", Classic, "FROM BASE\nCOPY f a.txt /x\n"),
    case("failing command", Classic, "FROM BASE\nRUN false\n"),
    case("absent user", Classic, "FROM BASE\nUSER nobody-here\nRUN true\n"),
    case("absent owner", Classic, "FROM BASE\nCOPY --chown=nobody-here f /f\n"),
    case("climbing source", Classic, "FROM BASE\nCOPY ../../etc/passwd /x\n"),
    case("unknown instruction", Classic, "FROM BASE\nFETCH x\n"),
    case("bad port", Classic, "FROM BASE\nEXPOSE abc\n"),
    case("file over directory", Classic, "FROM BASE\nCOPY f /tmp/../var/lib/x/old/\n"),
    case("absent program", Classic, "FROM BASE\nRUN [\"/none\"]\n"),
    case("unclosed variable", Classic, "FROM BASE\nLABEL a=${B\n"),
    case("absent stage", Classic, "FROM BASE\nCOPY --from=7 /x /x\n"),
];
