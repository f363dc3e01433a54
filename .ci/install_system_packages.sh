#!/usr/bin/env bash
# Installs missing packages that the system suite needs to boot machines, and the
# container suite to start an engine; Prometheus, which the metrics are checked with;
# asciinema, which plays recordings; and what a release is checked with.
#
# Does nothing without apt-get, or if not root. The suites report what they lack and
# are skipped.
set -euo pipefail

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap debian-archive-keyring)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v nsenter >/dev/null || missing+=(util-linux)
command -v git >/dev/null || missing+=(git)
command -v git-lfs >/dev/null || missing+=(git-lfs)
command -v busybox >/dev/null || missing+=(busybox-static)
command -v promtool >/dev/null || missing+=(prometheus)
command -v asciinema >/dev/null || missing+=(asciinema)
for each in lintian rpm rpmlint ruby minisign; do
  command -v "$each" >/dev/null || missing+=("$each")
done
# Debian's engine would conflict with one from elsewhere.
command -v dockerd >/dev/null || missing+=(docker.io)

exec "$(dirname "$0")/apt_install.sh" "the system or the container suite, or checks of a release" "${missing[@]}"
