#!/usr/bin/env bash
# Installs Debian packages: apt_install.sh SUITES-SKIPPED-OTHERWISE PACKAGE...
#
# Does nothing without packages, without apt-get, or if not root. The suites report
# what they lack and are skipped.
set -euo pipefail

suites=$1
shift
[[ $# -gt 0 && $(id -u) -eq 0 ]] || exit 0
command -v apt-get >/dev/null || exit 0

echo "Installing $*" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; } \
  >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "CANNOT install $* (see above): $suites will be skipped" >&2
  exit 1
fi
