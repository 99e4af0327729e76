# Sourced after scripts/parts.sh: a real Pagure for the stories about it.
# Its Debian packages live in a root of their own, since they would replace much of an older Debian's
# Python and C library. The root is kept below target/; what a run writes is below $PARTS.

PAGURE_SUITE=trixie
PAGURE_ROOT=$PWD/target/pagure/$PAGURE_SUITE

pagure_root() {
  debian_root "$PAGURE_ROOT" "$PAGURE_SUITE" pagure \
    --include=pagure,pagure-webhook,redis-server,git,gunicorn,sqlite3
}

# start_pagure exports STRATA_PAGURE_URL and STRATA_PAGURE_TOKENS, a directory with one API token a
# user. Where Pagure cannot be had it says so, and the stories about it tell nothing.
start_pagure() {
  pagure_root || { say "Pagure cannot be installed here: its stories are skipped"; return 0; }
  pagure_port=$(free_port 5050)
  pagure_state=$PARTS/pagure
  mkdir -p "$pagure_state/etc" "$pagure_state/lib" "$pagure_state/tokens"
  $SUDO cp -a "$PAGURE_ROOT/etc/pagure/." "$pagure_state/etc/"
  $SUDO cp -a "$PAGURE_ROOT/var/lib/pagure/." "$pagure_state/lib/"
  $SUDO cp scripts/pagure/pagure.cfg scripts/pagure/served.py scripts/pagure/accounts.py "$pagure_state/etc/"
  say "Starting Pagure on 127.0.0.1:$pagure_port"
  start pagure $SUDO unshare --mount bash scripts/pagure/run "$PAGURE_ROOT" "$pagure_state" \
    "$pagure_port" "$(free_port 6390)"
  await 90 pagure answers "http://127.0.0.1:$pagure_port/api/0/version"
  await 30 pagure test -s "$pagure_state/tokens/releng"
  export STRATA_PAGURE_URL="http://127.0.0.1:$pagure_port" STRATA_PAGURE_TOKENS="$pagure_state/tokens"
}
