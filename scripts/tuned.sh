# Sourced after scripts/parts.sh: a newer Docker Engine beside this machine's own one, with the
# containerd image store and buildx. Its BuildKit can push layers of zstd while it exports, which is
# the fastest that it can be told to be.
# Its Debian packages live in a root of their own. The root is kept below target/; what a run writes
# is below $PARTS.

TUNED_SUITE=trixie
TUNED_ROOT=$PWD/target/tuned/$TUNED_SUITE

tuned_root() {
  debian_root "$TUNED_ROOT" "$TUNED_SUITE" tuned --include=docker.io,docker-buildx,docker-cli
}

# start_tuned sets TUNED_DOCKER, a program that talks to that engine; not where it cannot be had.
start_tuned() {
  tuned_root || { say "BuildKit with zstd cannot be installed here and is not measured"; return 0; }
  tuned_state=$PARTS/tuned
  mkdir -p "$tuned_state"
  say "Starting Docker Engine of $TUNED_SUITE"
  start tuned $SUDO unshare --mount bash scripts/tuned_engine "$TUNED_ROOT" "$tuned_state"
  TUNED_DOCKER=$PARTS/docker-tuned
  cat >"$TUNED_DOCKER" <<SH
#!/bin/sh
exec $SUDO nsenter --mount=/proc/$(cat "$PARTS/tuned.pid")/ns/mnt --wd="\$PWD" chroot "$TUNED_ROOT" \\
  env DOCKER_HOST=unix://$tuned_state/docker.sock HOME=$tuned_state docker "\$@"
SH
  chmod +x "$TUNED_DOCKER"
  await 60 tuned tuned_answers
}

tuned_answers() { "$TUNED_DOCKER" version >/dev/null 2>&1; }

stop_tuned() {
  stop tuned
  $SUDO ip link delete strata-tuned 2>/dev/null || true
}
