//! What the language says without files: arguments, triggers, shells, forms.

use super::Oracle::{BuildKit, Classic, RefusedHere, SameAs};
use super::{Case, case};

/// The rows.
pub(crate) const CASES: &[Case] = &[
    case(
        "trigger of a stage",
        Classic,
        "FROM BASE AS a\nONBUILD RUN echo t > /t\nONBUILD ENV T=1\nFROM a\nRUN echo $T > /u\n",
    ),
    case(
        "trigger copies",
        Classic,
        "FROM BASE AS a\nONBUILD COPY f /f\nONBUILD WORKDIR /w\nONBUILD USER app\nFROM a\nRUN id -u > /tmp/u\n",
    ),
    case(
        "trigger takes from a stage that nothing else needs",
        SameAs("FROM BASE\nRUN echo q > /taken && echo q > /seen\n"),
        "FROM BASE AS parent\nONBUILD COPY --from=st /q /taken\n\
         ONBUILD RUN --mount=type=bind,from=other,target=/m cat /m/q > /seen\n\
         FROM BASE AS other\nRUN echo q > /q\nFROM BASE AS st\nRUN echo q > /q\nFROM parent\n",
    ),
    case("trigger of a trigger", Classic, "FROM BASE\nONBUILD ONBUILD RUN true\n"),
    case("trigger of from", Classic, "FROM BASE\nONBUILD FROM BASE\n"),
    case(
        "shell for all forms",
        Classic,
        "FROM BASE\nSHELL [\"/bin/sh\",\"-xc\"]\nRUN echo a > /a\nENTRYPOINT e\nCMD c\nHEALTHCHECK CMD h\n",
    ),
    case(
        "shell of the stage below",
        Classic,
        "FROM BASE AS a\nSHELL [\"/bin/sh\",\"-ec\"]\nFROM a\nCMD x\n",
    ),
    case("shell without list", Classic, "FROM BASE\nSHELL /bin/sh -c\n"),
    case(
        "healthcheck shell",
        Classic,
        "FROM BASE\nHEALTHCHECK CMD wget -q http://localhost/ || exit 1\n",
    ),
    case(
        "healthcheck replaced",
        Classic,
        "FROM BASE\nHEALTHCHECK CMD a\nHEALTHCHECK --retries=1 CMD b\n",
    ),
    case("healthcheck then none", Classic, "FROM BASE\nHEALTHCHECK CMD a\nHEALTHCHECK NONE\n"),
    case("healthcheck without command", Classic, "FROM BASE\nHEALTHCHECK --interval=5s\n"),
    case("healthcheck too often", Classic, "FROM BASE\nHEALTHCHECK --interval=1ns CMD a\n"),
    case(
        "volume keeps what is written",
        BuildKit,
        "FROM BASE\nVOLUME /v\nRUN mkdir -p /v && echo a > /v/a\n",
    ),
    case("volume by variable", Classic, "FROM BASE\nENV V=/v\nVOLUME $V $V/w\n"),
    case("volume twice", Classic, "FROM BASE\nVOLUME /v\nVOLUME [\"/v\", \"/w\"]\n"),
    case("expose by variable", Classic, "FROM BASE\nARG P=81\nEXPOSE $P ${P}0/udp\n"),
    case("stopsignal number", Classic, "FROM BASE\nARG S=9\nSTOPSIGNAL $S\n"),
    case("stopsignal unknown", Classic, "FROM BASE\nSTOPSIGNAL NOSUCH\n"),
    case(
        "label lines",
        Classic,
        "FROM BASE\nLABEL a=1 \\\n      b=\"two\\\n words\" \\\n      c='$x'\n",
    ),
    case("label by variable", Classic, "FROM BASE\nARG K=k\nLABEL \"$K.x\"=$K\n"),
    case("env lines", Classic, "FROM BASE\nENV A=1 \\\n    B=2\nENV C=\"$A$B\" A=9\n"),
    case("env of one line uses the old", Classic, "FROM BASE\nENV A=1\nENV A=2 B=$A\n"),
    case(
        "variable forms",
        Classic,
        "FROM BASE\nENV A=a E=\nENV W=${A:-x} X=${E:-x} Y=${A:+y} Z=${E:+y}\n",
    ),
    case("variable that must be", BuildKit, "FROM BASE\nENV X=${N:?no value}\n"),
    case(
        "variable without its start",
        SameAs("FROM BASE\nENV A=a.b.c B=b.c C=c\n"),
        "FROM BASE\nENV A=a.b.c\nENV B=${A#*.} C=${A##*.}\n",
    ),
    case(
        "variable without its end",
        SameAs("FROM BASE\nENV A=a.b.c B=a.b C=a\n"),
        "FROM BASE\nENV A=a.b.c\nENV B=${A%.*} C=${A%%.*}\n",
    ),
    case(
        "variable replaced",
        SameAs("FROM BASE\nENV A=a.b.c B=a-b.c C=a-b-c\n"),
        "FROM BASE\nENV A=a.b.c\nENV B=${A/./-} C=${A//./-}\n",
    ),
    case(
        "argument of another stage",
        Classic,
        "FROM BASE AS a\nARG A=1\nFROM BASE\nRUN echo \"[$A]\" > /a\n",
    ),
    // As BuildKit has it; the classic builder forgets the arguments of the stage below.
    case(
        "argument of the stage below",
        SameAs("FROM BASE AS a\nARG A=1\nFROM BASE\nARG A=1\nRUN echo \"[$A]\" > /a\n"),
        "FROM BASE AS a\nARG A=1\nFROM a\nRUN echo \"[$A]\" > /a\n",
    ),
    case(
        "variable of the stage below and its argument",
        Classic,
        "FROM BASE AS a\nENV G=env\nARG G=again\nFROM a\nRUN echo \"$G\" > /g\nLABEL g=$G\n",
    ),
    case(
        "variable of the stage below and its argument, BuildKit",
        BuildKit,
        "FROM BASE AS a\nENV G=env\nARG G=again\nFROM a\nRUN echo \"$G\" > /g\nLABEL g=$G\n",
    ),
    // In one stage the later of the two counts; with the classic builder the variable.
    case(
        "variable and argument of one stage",
        BuildKit,
        "FROM BASE\nENV G=env\nARG G=again\nRUN echo \"$G\" > /g\nLABEL g=$G\n",
    ),
    case(
        "variable of the parent and an argument, BuildKit",
        BuildKit,
        "FROM BASE\nARG FROM_BASE=again\nRUN echo \"$FROM_BASE\" > /g\nLABEL g=$FROM_BASE\n",
    ),
    case("argument from the top", Classic, "ARG A=top\nFROM BASE\nARG A\nRUN echo \"[$A]\" > /a\n"),
    case(
        "argument from the top, default below",
        Classic,
        "ARG A=top\nFROM BASE\nARG A=own\nRUN echo \"[$A]\" > /a\n",
    ),
    case(
        "argument not taken from the top",
        Classic,
        "ARG A=top\nFROM BASE\nRUN echo \"[$A]\" > /a\n",
    ),
    case(
        "argument of arguments",
        Classic,
        "ARG R=BASE\nARG S=$R\nFROM ${S}\nARG A=1\nARG B=${A}2\nRUN echo $B > /b\n",
    ),
    case(
        "argument before it is declared",
        Classic,
        "FROM BASE\nRUN echo \"[$A]\" > /a\nARG A=1\nRUN echo \"[$A]\" > /b\n",
    ),
    case(
        "argument in exec form",
        Classic,
        "FROM BASE\nARG A=1\nRUN [\"/bin/sh\",\"-c\",\"echo $A > /a\"]\n",
    ),
    case(
        "arguments of one line",
        SameAs("FROM BASE\nARG A=1\nARG B=2\nRUN echo $A$B > /a\n"),
        "FROM BASE\nARG A=1 B=2\nRUN echo $A$B > /a\n",
    ),
    case("argument empty", Classic, "FROM BASE\nARG A\nRUN echo \"[${A-unset}]\" > /a\n")
        .with_args(&["A="]),
    case(
        "argument of the platform",
        BuildKit,
        "FROM BASE\nARG TARGETARCH\nARG TARGETOS\nARG BUILDPLATFORM\nRUN echo $TARGETOS/$TARGETARCH $BUILDPLATFORM > /a\n",
    ),
    case(
        "argument of the platform undeclared",
        BuildKit,
        "FROM BASE\nRUN echo \"[$TARGETARCH]\" > /a\n",
    ),
    case("platform of from", BuildKit, "FROM --platform=$BUILDPLATFORM BASE\nLABEL a=b\n"),
    case("proxy argument in capitals", Classic, "FROM BASE\nRUN echo \"[$HTTPS_PROXY]\" > /a\n")
        .with_args(&["HTTPS_PROXY=http://p.example"]),
    case(
        "escape is a backtick",
        Classic,
        "# escape=`\nFROM BASE\nRUN echo a `\n  > /a\nENV P=c:\\x\n",
    ),
    case(
        "small letters",
        Classic,
        "from BASE as a\nenv A=1\nrun echo $A > /a\nfrom a\nlabel x=y\n",
    ),
    case(
        "comments and empty lines",
        Classic,
        "# one\n\nFROM BASE\n  # two\nRUN echo a \\\n\n  # three\n  > /a\n",
    ),
    case("list with escapes", Classic, "FROM BASE\nCMD [\"a\\\"b\", \"\\u0041\", \"c d\"]\n"),
    case("no list after all", Classic, "FROM BASE\nCMD ['a', 'b']\n"),
    case("cmd empty list", Classic, "FROM BASE\nCMD []\n"),
    case("entrypoint empty list", Classic, "FROM BASE\nENTRYPOINT []\nCMD [\"c\"]\n"),
    case(
        "entrypoint after cmd of the stage below",
        Classic,
        "FROM BASE AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"/e\"]\n",
    ),
    case("workdir back", Classic, "FROM BASE\nWORKDIR /a/b\nWORKDIR ../c\nRUN pwd > /p\n"),
    case("workdir of nobody yet", BuildKit, "FROM BASE\nUSER 77:88\nWORKDIR /q\n"),
    case("workdir of a lone number", BuildKit, "FROM BASE\nUSER 77\nWORKDIR /q/r\n"),
    case("workdir of a number with a name", BuildKit, "FROM BASE\nUSER 1001\nWORKDIR /q/r\n"),
    case("workdir of a number and a name", BuildKit, "FROM BASE\nUSER 1001:extra\nWORKDIR /q\n"),
    case("target in capitals", Classic, "FROM BASE AS First\nLABEL s=1\nFROM BASE\nLABEL s=2\n")
        .with_target("first"),
    case("target that is not there", Classic, "FROM BASE AS a\nLABEL s=1\n").with_target("b"),
    case("stage of itself", Classic, "FROM BASE AS me\nCOPY --from=me /etc/passwd /x\n"),
    case(
        "two stages of one name",
        Classic,
        "FROM BASE AS a\nRUN echo 1 > /x\nFROM BASE AS b\nRUN echo 2 > /x\nFROM BASE\nCOPY --from=b /x /y\n",
    ),
    case("no from", Classic, "RUN true\n"),
    case("nothing at all", Classic, "\n"),
    case(
        "heredoc with its interpreter",
        SameAs("FROM BASE\nRUN echo a > /a\n"),
        "FROM BASE\nRUN <<EOF\n#!/bin/sh\necho a > /a\nEOF\n",
    ),
    case(
        "heredoc for a command",
        SameAs("FROM BASE\nRUN echo a > /a\n"),
        "FROM BASE\nRUN cat <<EOF > /a\na\nEOF\n",
    ),
    case(
        "heredocs for a command",
        SameAs("FROM BASE\nRUN echo a > /a && echo b > /b\n"),
        "FROM BASE\nRUN cat <<A > /a && cat <<B > /b\na\nA\nb\nB\n",
    ),
    case(
        "heredoc that the shell expands",
        SameAs("FROM BASE\nENV V=v\nRUN echo v > /a && echo '$V' > /b\n"),
        "FROM BASE\nENV V=v\nRUN cat <<A > /a && cat <<'B' > /b\n$V\nA\n$V\nB\n",
    ),
    case("heredoc that fails", Classic, "FROM BASE\nRUN <<EOF\nfalse\nEOF\n"),
    case("network of the machine", Classic, "FROM BASE\nRUN --network=host true\n"),
    case("insecure", Classic, "FROM BASE\nRUN --security=insecure true\n"),
    case("device file", RefusedHere("exit status"), "FROM BASE\nRUN mknod /null c 1 3\n"),
];
