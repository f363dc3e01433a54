#!/bin/sh
# @name@: executes the program on the runtime next to it.
# Never prompts or downloads.
case $0 in
*/*) self=$0 ;;
*) self=$(command -v -- "$0") || self=./$0 ;;
esac
hops=0
while :; do
  here=${self%/*}
  # Unpacked: bin/ and lib/ side by side. Installed: bin/ next to the current release.
  for home in "$here/../lib/cicd-toolkit" "$here/../lib/cicd-toolkit/current/lib/cicd-toolkit"; do
    [ -f "$home/@bundle@" ] && break 2
  done
  # Follow a symlink created by the user.
  if [ ! -L "$self" ] || [ "$hops" -ge 8 ]; then
    # A copy of this file alone, as in /usr/local/bin: the rest is where it was built or installed.
    for home in @origin@ "${HOME:-}/.local/lib/cicd-toolkit/current/lib/cicd-toolkit" \
      /opt/cicd-toolkit/lib/cicd-toolkit/current/lib/cicd-toolkit \
      /opt/cicd-toolkit/lib/cicd-toolkit; do
      [ -f "$home/@bundle@" ] || continue
      # Not that of another account, which could change it.
      [ -O "$home/deno" ] || [ "$(stat -c %u -- "$home/deno")" = 0 ] || continue
      break 2
    done
    echo "@name@: cannot find @bundle@ near $self; run install.sh, or make a symlink instead of a copy" >&2
    exit 78
  fi
  target=$(readlink -- "$self")
  case $target in
  /*) self=$target ;;
  *) self=$here/$target ;;
  esac
  hops=$((hops + 1))
done
# The installer keeps its own runs out of the users' caches.
DENO_DIR=${CICD_TOOLKIT_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/cicd-toolkit/runtime}
DENO_DISABLE_NODE_SHIM=1
DENO_NO_UPDATE_CHECK=1
export DENO_DIR DENO_DISABLE_NODE_SHIM DENO_NO_UPDATE_CHECK
bundle=@bundle@
# All of a bundle stays in memory, so the long-running command has a smaller one.
case "${1-} $*" in
*\ --help* | *\ -h*) ;;
"@leaner_command@ "*) bundle=@leaner_bundle@ ;;
esac
# By this link, ps and systemctl show the program's name.
runtime=$home/@name@
[ -x "$runtime" ] || runtime=$home/deno
exec "$runtime" run @flags@ "$home/$bundle" "$@"
