#!/usr/bin/env bash
# Installs missing packages that the VM suite needs to emulate its machine.
#
# Does nothing without apt-get, or if not root. The suite reports what it lacks and
# is skipped.
set -euo pipefail

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap debian-archive-keyring)
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
PATH=$PATH:/usr/sbin:/sbin command -v mke2fs >/dev/null || missing+=(e2fsprogs)
command -v setpriv >/dev/null || missing+=(util-linux)

exec "$(dirname "$0")/apt_install.sh" "the VM suite" "${missing[@]}"
