#!/bin/sh
# @name@: executes the program on the runtime next to it.
# Never prompts or downloads.

# Tells if no account but this one and root can change a directory, or put another in its place:
# 0 if so, 2 if only the directory itself is open to others, 3 if there is a symlink in its path.
is_ours() { # DIR
  dir=$1 up=$1
  set --
  while :; do
    set -- "$up" "$@"
    [ "$up" != / ] || break
    up=${up%/*}
    up=${up:-/}
  done
  # Sorted by name, as they are already: the directory itself is the last line.
  facts=$(LC_ALL=C ls -ldn -- "$@" 2>/dev/null) || return 1
  found='' owner=''
  while read -r mode _ uid gid _; do
    [ "$found" != open ] || return 1
    case $mode in
    l*) return 3 ;;
    ?????w???[tT]* | ????????w[tT]*) found=sticky ;;
    ????????w*) found=open ;;
    # A group with the account's number is its own.
    ?????w*) if [ "$gid" = "$uid" ]; then found=closed; else found=open; fi ;;
    *) found=closed ;;
    esac
    [ "$uid" = 0 ] || [ "$uid" = "${owner:=$uid}" ] || return 1
  done <<FACTS
$facts
FACTS
  [ -z "$owner" ] || { [ "$uid" != 0 ] && [ -O "$dir" ]; } || return 1
  [ "$found" = closed ] || return 2
}

# Finds the release in a place that is not next to this file; sets home.
find_home() { # PLACE
  [ -f "$1/@bundle@" ] || return 1
  rest=''
  case $1 in
  */current/lib/cicd-toolkit) rest=/current/lib/cicd-toolkit ;;
  esac
  base=$(CDPATH='' cd -P -- "${1%"$rest"}" 2>/dev/null && pwd -P) && is_ours "$base" || return 1
  real=$(CDPATH='' cd -P -- "$base$rest" 2>/dev/null && pwd -P) && is_ours "$real" || return 1
  home=$base$rest
}

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
    # One that another account could change is not taken.
    for place in @origin@ "${HOME:-}/.local/lib/cicd-toolkit/current/lib/cicd-toolkit" \
      /opt/cicd-toolkit/lib/cicd-toolkit/current/lib/cicd-toolkit \
      /opt/cicd-toolkit/lib/cicd-toolkit; do
      find_home "$place" && break 2
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

# The runtime executes the compiled code in its cache unseen, so no other account may write there.
# Sets DENO_DIR to that directory; otherwise to one that cannot exist, and nothing is cached.
find_cache() {
  DENO_DIR=${CICD_TOOLKIT_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/cicd-toolkit/runtime}
  if [ ! -d "$DENO_DIR" ]; then
    up=$DENO_DIR
    while [ ! -e "$up" ] && [ "$up" != "${up%/*}" ]; do up=${up%/*}; done
    # Root leaves nothing among the files of another account.
    [ -O "${up:-/}" ] || [ "$(id -u)" != 0 ] || return 1
    (umask 077 && mkdir -p -- "$DENO_DIR") 2>/dev/null || return 1
  fi
  [ -O "$DENO_DIR" ] || return 1
  # Who names the directory answers for the ones above: a service's may belong to nobody in its
  # namespace. The installer keeps its own runs out of the users' caches that way.
  if [ -n "${CICD_TOOLKIT_CACHE:-}" ]; then
    # A service manager has closed its CacheDirectory= to others before it started this.
    if [ "${CACHE_DIRECTORY:-}" = "$DENO_DIR" ]; then
      is=0
    else
      case $(ls -ld -- "$DENO_DIR") in ?????-??-*) is=0 ;; *) is=2 ;; esac
    fi
  else
    case $DENO_DIR in
    [!/]* | *//* | */./* | */../* | */. | */..) is=3 ;;
    *) is_ours "$DENO_DIR" && is=0 || is=$? ;;
    esac
    if [ "$is" = 3 ]; then
      DENO_DIR=$(CDPATH='' cd -P -- "$DENO_DIR" 2>/dev/null && pwd -P) || return 1
      is_ours "$DENO_DIR" && is=0 || is=$?
    fi
  fi
  # What lies in a directory that was open may be another account's.
  [ "$is" != 2 ] || { chmod 0700 "$DENO_DIR" && rm -f -- "$DENO_DIR"/*_cache_v*; } || return 1
  case $is in 0 | 2) ;; *) return 1 ;; esac
  for file in "$DENO_DIR"/*_cache_v*; do
    [ -O "$file" ] || [ ! -e "$file" ] || return 1
  done
}
find_cache || DENO_DIR=/dev/null/cicd-toolkit
DENO_DISABLE_NODE_SHIM=1
DENO_NO_PACKAGE_JSON=1
DENO_NO_UPDATE_CHECK=1
export DENO_DIR DENO_DISABLE_NODE_SHIM DENO_NO_PACKAGE_JSON DENO_NO_UPDATE_CHECK
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
