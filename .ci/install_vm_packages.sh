#!/usr/bin/env bash
# Installs what the VM suite needs to emulate its machine, if it is missing.
#
# Does something only as root on a machine with apt-get. The suite itself says
# what is missing and is skipped where this could not help.
set -euo pipefail

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap debian-archive-keyring)
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
PATH=$PATH:/usr/sbin:/sbin command -v mke2fs >/dev/null || missing+=(e2fsprogs)
command -v setpriv >/dev/null || missing+=(util-linux)

exec "$(dirname "$0")/apt_install.sh" "the VM suite" "${missing[@]}"
