//! `RUN --mount`. Version 20.10 leaves the places that were mounted on in the image, hence most
//! rows mount on directories that are there.

use super::Oracle::{BuildKit, OneDifference, SameAs};
use super::{Case, case};

/// The rows.
pub(crate) const CASES: &[Case] = &[
    case(
        "mount context",
        BuildKit,
        "FROM BASE\nRUN --mount=target=/tmp cat /tmp/f > /o && ls /tmp/d >> /o && ls /tmp/many >> /o\n",
    ),
    case(
        "mount context hides ignored files",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,target=/tmp ls /tmp/d | grep -v Dockerfile > /o\n",
    ),
    case(
        "mount part of the context",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,source=d/sub,target=/tmp ls /tmp > /o && cat /tmp/three >> /o\n",
    ),
    case(
        "mount owners and modes",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,target=/tmp cd /tmp && stat -c '%n %a %u %g' f secret x.sh d private/p > /o\n",
    ),
    case(
        "mount file",
        OneDifference("/m: ours None"),
        "FROM BASE\nRUN --mount=type=bind,source=f,target=/m cat /m > /o\n",
    ),
    case(
        "mount file over file",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,source=f,target=/var/lib/x/old cat /var/lib/x/old > /o\n",
    ),
    case(
        "mount stage",
        BuildKit,
        "FROM BASE AS b\nRUN echo b > /b && chown 5:6 /b\nFROM BASE\nRUN --mount=type=bind,from=b,target=/tmp cat /tmp/b > /o && stat -c %u:%g /tmp/b >> /o\n",
    ),
    case(
        "mount part of a stage",
        BuildKit,
        "FROM BASE AS b\nRUN mkdir /s && echo b > /s/b\nFROM BASE\nRUN --mount=type=bind,from=b,source=/s,target=/tmp ls /tmp > /o\n",
    ),
    case(
        "mount image",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,from=BASE,source=/etc,target=/tmp cat /tmp/passwd > /o\n",
    ),
    case(
        "mount is read-only",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,target=/tmp (echo x > /tmp/f) 2>/dev/null || echo refused > /o\n",
    ),
    case(
        "mount writes are lost",
        BuildKit,
        "FROM BASE\nRUN --mount=type=bind,target=/tmp,rw echo x > /tmp/f && cat /tmp/f > /o\nRUN --mount=type=bind,target=/tmp cat /tmp/f >> /o\n",
    ),
    case(
        "mount relative",
        BuildKit,
        "FROM BASE\nWORKDIR /home\nRUN --mount=type=bind,target=app cat app/f > /o\n",
    ),
    case(
        "mount needs its stage",
        BuildKit,
        "FROM BASE AS a\nRUN echo a > /a\nFROM BASE AS unused\nRUN false\nFROM BASE\nRUN --mount=from=a,target=/tmp cat /tmp/a > /o\n",
    ),
    case(
        "mount inside mount",
        BuildKit,
        "FROM BASE\nRUN --mount=type=tmpfs,target=/home/app --mount=type=tmpfs,target=/home touch /home/x && ls /home > /o\n",
    ),
    case(
        "mount with variables",
        SameAs("FROM BASE\nARG P=tmp\nENV S=d/sub\nCOPY d/sub/three /o\n"),
        "FROM BASE\nARG P=tmp\nENV S=d/sub\nRUN --mount=type=bind,source=$S,target=/$P cat /tmp/three > /o && touch -d @1000000000 /o\n",
    ),
    case("mount of nothing", BuildKit, "FROM BASE\nRUN --mount=source=none,target=/tmp true\n"),
    case(
        "mount climbs",
        BuildKit,
        "FROM BASE\nRUN --mount=source=../../etc/shadow,target=/tmp/x true\n",
    ),
    case("mount over all", BuildKit, "FROM BASE\nRUN --mount=target=/ true\n"),
    case("mount of no kind", BuildKit, "FROM BASE\nRUN --mount=type=none,target=/tmp true\n"),
    case(
        "mount cache from run to run",
        BuildKit,
        "FROM BASE\nRUN --mount=type=cache,id=strata-a,target=/root echo a > /root/a\nRUN --mount=type=cache,id=strata-a,target=/home cat /home/a > /o; ls /root >> /o\n",
    ),
    case(
        "mount cache by target",
        BuildKit,
        "FROM BASE\nRUN --mount=type=cache,target=/home/app echo a > a; stat -c %a:%u:%g /home/app > /o\n",
    ),
    case(
        "mount cache owner",
        BuildKit,
        "FROM BASE\nRUN --mount=type=cache,id=strata-o,target=/home/app,uid=5,gid=6,mode=0750 stat -c %a:%u:%g /home/app > /o\n",
    ),
    case(
        "mount cache filled from a stage",
        BuildKit,
        "FROM BASE AS b\nRUN mkdir /s && echo b > /s/b\nFROM BASE\nRUN --mount=type=cache,id=strata-f,from=b,source=/s,target=/tmp cat /tmp/b > /o\n",
    ),
    case(
        "mount cache sharing",
        BuildKit,
        "FROM BASE\nRUN --mount=type=cache,id=strata-l,target=/tmp,sharing=locked touch /tmp/l && ls /tmp > /o\nRUN --mount=type=cache,id=strata-p,target=/tmp,sharing=private ls /tmp > /p\n",
    ),
    case(
        "mount cache read-only",
        BuildKit,
        "FROM BASE\nRUN --mount=type=cache,id=strata-r,target=/tmp,ro touch /tmp/x 2>/dev/null || echo refused > /o\n",
    ),
    case(
        "mount memory",
        BuildKit,
        "FROM BASE\nRUN --mount=type=tmpfs,target=/tmp echo a > /tmp/a && ls /tmp > /l\nRUN ls -a /tmp > /m\n",
    ),
    case(
        "mount secret",
        OneDifference("/tmp/s: ours None"),
        "FROM BASE\nRUN --mount=type=secret,id=s,target=/tmp/s cat /tmp/s > /o && stat -c %a:%u:%g /tmp/s >> /o\n",
    ),
    case(
        "mount secret of somebody",
        OneDifference("/tmp/s: ours None"),
        "FROM BASE\nUSER app\nRUN --mount=type=secret,id=s,target=/tmp/s,uid=1001,gid=1002,mode=0440 cat /tmp/s > /tmp/o && stat -c %a:%u:%g /tmp/s >> /tmp/o\n",
    ),
    case(
        "mount secret at its place",
        OneDifference("run/"),
        "FROM BASE\nRUN --mount=type=secret,id=s cat /run/secrets/s > /o\nRUN ls /run/secrets/s 2>/dev/null || echo gone >> /o\n",
    ),
    case(
        "mount secret in a variable",
        SameAs("FROM BASE\nRUN echo hidden > /o\n"),
        "FROM BASE\nRUN --mount=type=secret,id=s,env=S echo $S > /o\n",
    ),
    case(
        "mount secret that nobody gave",
        BuildKit,
        "FROM BASE\nRUN --mount=type=secret,id=absent ls /run/secrets/absent 2>/dev/null || echo none > /o\n",
    ),
    case(
        "mount secret that is required",
        BuildKit,
        "FROM BASE\nRUN --mount=type=secret,id=absent,required true\n",
    ),
    case(
        "mount agent that is required",
        BuildKit,
        "FROM BASE\nRUN --mount=type=ssh,required true\n",
    ),
    case(
        "mount agent that nobody gave",
        BuildKit,
        "FROM BASE\nRUN --mount=type=ssh echo \"[$SSH_AUTH_SOCK]\" > /o\n",
    ),
];
