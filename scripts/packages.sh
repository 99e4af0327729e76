# Sourced after scripts/parts.sh: a Debian with apt and dnf, for the story that installs packages from
# repositories of both forms. It is kept below target/.

PACKAGES_SUITE=bookworm
PACKAGES_ROOT=$PWD/target/packages/$PACKAGES_SUITE.tar

# Makes the root; fails, without ending the caller, where its packages cannot be had.
packages_root() {
  [ -s "$PACKAGES_ROOT" ] && return 0
  command -v apt-get >/dev/null 2>&1 || return 1
  (need_packages mmdebstrap:mmdebstrap) || return 1
  mirror=$(own_mirror)
  [ -n "$mirror" ] || return 1
  say "Making $PACKAGES_ROOT"
  mkdir -p "${PACKAGES_ROOT%/*}"
  # No repository but those of the story, no manuals, and RPM's database where distributions have it.
  $SUDO mmdebstrap --quiet --variant=apt --include=dnf,rpm \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d' \
    --customize-hook='mkdir -p "$1"/etc/apt/sources.list.d "$1"/etc/rpm' \
    --customize-hook='echo "%_dbpath /usr/lib/sysimage/rpm" >"$1"/etc/rpm/macros' \
    "$PACKAGES_SUITE" "${PACKAGES_ROOT%.tar}.new.tar" "$mirror" >"$PARTS/packages-root.log" 2>&1 ||
    { tail -n 5 "$PARTS/packages-root.log" >&2; return 1; }
  $SUDO chmod 644 "${PACKAGES_ROOT%.tar}.new.tar"
  $SUDO mv "${PACKAGES_ROOT%.tar}.new.tar" "$PACKAGES_ROOT"
}

# find_packages_root exports STRATA_PACKAGES_ROOT. Where it cannot be made it says so, and the story
# tells nothing.
find_packages_root() {
  (need_packages gpg:gpg rpmbuild:rpm createrepo_c:createrepo-c) && packages_root ||
    { say "No root for package managers here: their story is skipped"; return 0; }
  export STRATA_PACKAGES_ROOT="$PACKAGES_ROOT"
}
