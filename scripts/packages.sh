# Sourced after scripts/parts.sh: a Debian with apt and dnf, for the story that installs packages from
# repositories of both forms. It is kept below target/.

PACKAGES_SUITE=bookworm
PACKAGES_ROOT=$PWD/target/packages/$PACKAGES_SUITE.tar

# No repository but those of the story, no manuals, and RPM's database where distributions have it.
packages_root() {
  debian_root "$PACKAGES_ROOT" "$PACKAGES_SUITE" packages --include=dnf,rpm \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d' \
    --customize-hook='mkdir -p "$1"/etc/apt/sources.list.d "$1"/etc/rpm' \
    --customize-hook='echo "%_dbpath /usr/lib/sysimage/rpm" >"$1"/etc/rpm/macros' &&
    $SUDO chmod 644 "$PACKAGES_ROOT"
}

# find_packages_root exports STRATA_PACKAGES_ROOT. Where it cannot be made it says so, and the story
# tells nothing.
find_packages_root() {
  (need_packages gpg:gpg rpmbuild:rpm createrepo_c:createrepo-c) && packages_root ||
    { say "No root for package managers here: their story is skipped"; return 0; }
  export STRATA_PACKAGES_ROOT="$PACKAGES_ROOT"
}
