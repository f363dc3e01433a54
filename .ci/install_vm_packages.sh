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

[[ ${#missing[@]} -gt 0 && $(id -u) -eq 0 ]] || exit 0
command -v apt-get >/dev/null || exit 0

echo "Installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "CANNOT install ${missing[*]} (see above): the VM suite will be skipped" >&2
  exit 1
fi
