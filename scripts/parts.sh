# Sourced by ./demo and ./test: installs and starts the parts that Strata works with.
# Whatever is started here is recorded in $PARTS (a directory) and stopped by stop_parts, by its
# recorded pid; what ran before is used and left alone.

# Engine and firewall live in sbin, which not every caller's PATH names.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { if [ -t 2 ]; then printf '\033[1m==>\033[0m %s\n' "$*" >&2; else printf '==> %s\n' "$*" >&2; fi; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A word before a command, not a function: `setsid` can run only programs.
SUDO=
[ "$(id -u)" = 0 ] || SUDO=sudo

# need_packages PROGRAM:PACKAGE... installs the packages whose program is missing.
need_packages() {
  missing=
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
  done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null 2>&1 || die "please install:$missing (no apt-get on this machine)"
  say "Installing$missing"
  $SUDO apt-get update -qq
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$PARTS/apt.log" 2>&1 ||
    { tail -n 20 "$PARTS/apt.log" >&2; die "apt-get could not install$missing"; }
}

# Where this machine has its own packages from; nothing where apt does not know.
own_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | sed -n 1p
}

# debian_root ROOT SUITE NAME OPTION...: has mmdebstrap make ROOT, a directory or an archive of that
# Debian, unless it is there; NAME is that of the log. Fails, without ending the caller, where its
# packages cannot be had.
debian_root() {
  local root=$1 suite=$2 log=$PARTS/$3-root.log new=${1%/*}/new.${1##*/} mirror
  shift 3
  [ ! -e "$root" ] || return 0
  command -v apt-get >/dev/null 2>&1 || return 1
  (need_packages mmdebstrap:mmdebstrap) || return 1
  mirror=$(own_mirror)
  [ -n "$mirror" ] || return 1
  say "Making $root"
  mkdir -p "${root%/*}"
  $SUDO rm -rf "$new"
  $SUDO mmdebstrap --quiet --variant=apt "$@" "$suite" "$new" "$mirror" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; return 1; }
  $SUDO mv "$new" "$root"
}

need_rust() {
  command -v cargo >/dev/null 2>&1 || die "cargo is missing: install a Rust toolchain, see https://rustup.rs"
  command -v cc >/dev/null 2>&1 || need_packages cc:build-essential
}

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# show_log NAME: the end of a part's log, which is gone with $PARTS once the caller ends.
show_log() { sed 's/^/  | /' "$PARTS/$1.log" 2>/dev/null | tail -n 30 >&2; }

# await SECONDS NAME COMMAND... waits until the command succeeds, as long as the part NAME lives.
await() {
  limit=$1 name=$2; shift 2
  deadline=$(($(date +%s) + limit))
  until "$@"; do
    is_ours "$name" ||
      { show_log "$name"; die "$name ended before it answered; its last words are above"; }
    [ "$(date +%s)" -lt "$deadline" ] ||
      { show_log "$name"; die "$name did not answer within $limit s; its last words are above"; }
    sleep 0.2
  done
}

# start NAME COMMAND... runs a command in the background, its output in $PARTS/NAME.log.
start() {
  name=$1; shift
  setsid "$@" >"$PARTS/$name.log" 2>&1 </dev/null &
  echo $! >"$PARTS/$name.pid"
  started_at $! >"$PARTS/$name.started"
}

# started_at PID: when a process began, in the kernel's ticks. With it a recorded number is told from
# the same number of another process, as after a reboot.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# is_ours NAME: whether the process that start() recorded still lives.
is_ours() {
  [ -s "$PARTS/$1.pid" ] && [ -s "$PARTS/$1.started" ] &&
    [ "$(started_at "$(cat "$PARTS/$1.pid")")" = "$(cat "$PARTS/$1.started")" ]
}

# The engine that answers is used. Where none does, one of our own is started with all of its state in
# directories of our own: what an engine that was killed left behind (a pid file whose number is taken
# again, a socket, hundreds of containers to restore) must not decide whether this one starts. Its
# sockets need a short path: 107 bytes is the most that Linux takes.
start_engine() {
  use_own_engine
  if engine_answers; then return 0; fi
  say "Starting Docker Engine"
  # It is gone after a reboot, and its name may be anybody's then.
  [ -s "$PARTS/engine.dir" ] && [ -O "$(cat "$PARTS/engine.dir")" ] || mktemp -d /tmp/strata-engine.XXXXXX >"$PARTS/engine.dir"
  use_own_engine
  start dockerd $SUDO dockerd --host "$DOCKER_HOST" --data-root "$PARTS/docker" \
    --exec-root "${DOCKER_HOST#unix://}.exec" --pidfile "${DOCKER_HOST#unix://}.pid" --group "$(id -gn)"
  await 120 dockerd engine_answers
}

# Makes `docker` and Strata talk to the engine that start_engine started, where it did.
use_own_engine() {
  [ -s "$PARTS/engine.dir" ] || return 0
  DOCKER_HOST="unix://$(cat "$PARTS/engine.dir")/docker.sock"
  export DOCKER_HOST
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  port=$1
  until port_is_free "$port"; do port=$((port + 1)); done
  echo "$port"
}

# start_registry PORT
start_registry() {
  cat >"$PARTS/registry.yml" <<YML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $PARTS/registry}
  delete: {enabled: true}
http: {addr: 127.0.0.1:$1}
YML
  say "Starting a registry on 127.0.0.1:$1"
  start registry docker-registry serve "$PARTS/registry.yml"
  await 20 registry answers "http://127.0.0.1:$1/v2/"
}

answers() { curl -fsS -o /dev/null --max-time 2 "$1" 2>/dev/null; }

# stop NAME: TERM, then KILL after 45 s, which is more than `strata up` takes to cancel what runs; only
# a process that start() recorded.
stop() {
  if is_ours "$1"; then
    pid=$(cat "$PARTS/$1.pid")
    $SUDO kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 225); do
      is_ours "$1" || break
      sleep 0.2
    done
    ! is_ours "$1" || $SUDO kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$PARTS/$1.pid" "$PARTS/$1.started"
}

stop_parts() {
  stop pagure
  stop registry
  stop dockerd
  [ -s "$PARTS/engine.dir" ] || return 0
  engine_dir=$(cat "$PARTS/engine.dir")
  # BuildKit leaves its network namespace there.
  grep -F " $engine_dir/" /proc/mounts | cut -d' ' -f2 | xargs -r $SUDO umount -l 2>/dev/null || true
  $SUDO rm -rf "$engine_dir" "$PARTS/docker"
  rm -f "$PARTS/engine.dir"
}
