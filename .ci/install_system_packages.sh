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

exec "$(dirname "$0")/apt_install.sh" "the system or the container suite" "${missing[@]}"
