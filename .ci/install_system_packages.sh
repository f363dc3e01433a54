#!/usr/bin/env bash
# Installs what the system suite needs to boot its machines, and the container
# suite to start an engine, if it is missing.
#
# Does something only as root on a machine with apt-get. The suites themselves
# say what is missing and are skipped where this could not help.
set -euo pipefail

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap debian-archive-keyring)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v nsenter >/dev/null || missing+=(util-linux)
command -v git >/dev/null || missing+=(git)
command -v git-lfs >/dev/null || missing+=(git-lfs)
command -v busybox >/dev/null || missing+=(busybox-static)
# An engine of another origin would be in the way of Debian's.
command -v dockerd >/dev/null || missing+=(docker.io)

[[ ${#missing[@]} -gt 0 && $(id -u) -eq 0 ]] || exit 0
command -v apt-get >/dev/null || exit 0

echo "Installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "CANNOT install ${missing[*]} (see above): the system or the container suite will be skipped" >&2
  exit 1
fi
