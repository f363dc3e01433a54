#!/bin/sh
# Installs, upgrades and removes cicd-toolkit. Run with --help.
#
# Every file arrives by rename, every link is switched by rename: at any moment the installation
# is the old one or the new one, and an interrupted run is mended by running it again.
set -eu

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Installs cicd-runner and cicd-agent with their systemd user units. Run from a checkout it builds
them first, run from an unpacked release it installs that, with --version it downloads one.

  --version X        download release X, verify its checksum, install it
  --base-url URL     where the release's files are (https:// or file://);
                     also $CICD_TOOLKIT_BASE_URL
  --prefix DIR       install to DIR/bin and DIR/lib (default: ~/.local)
  --system           install for all users to /opt/cicd-toolkit, units to /etc/systemd/user (root)
  --user NAME        with --system: set the runner up for NAME (default: who called sudo)
  --no-enable        install the units, but neither enable nor start them
  --no-linger        leave lingering as it is: jobs then end with your last session
  --no-hardening     leave out the drop-ins that need user namespaces
  --uninstall        remove programs and units; configuration and state stay
  --purge            remove these too; running jobs are stopped
  --yes              do not ask
  --dry-run          print every action, do nothing
  --help
TEXT
}

# Filled in by the release workflow; a checkout knows no place to download from.
default_base_url=''

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: warning: %s\n' "$*" >&2; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
usage_error() {
  printf 'install.sh: %s\nTry: install.sh --help\n' "$*" >&2
  exit 64
}

# Runs an action, or prints it.
act() {
  if [ "$dry_run" = yes ]; then
    [ "$1" != as_user ] || shift
    say "would run: $*"
  else
    "$@"
  fi
}

# ---------------------------------------------------------------- options

mode=install
version=''
base_url=${CICD_TOOLKIT_BASE_URL:-$default_base_url}
prefix=''
system=no
for_user=''
enable=yes
linger=yes
hardening=yes
assume_yes=no
dry_run=no

while [ $# -gt 0 ]; do
  option=$1
  case $option in
  --version | --base-url | --prefix | --user)
    [ $# -ge 2 ] || usage_error "$option needs a value"
    value=$2
    shift
    ;;
  --version=* | --base-url=* | --prefix=* | --user=*)
    value=${option#*=}
    option=${option%%=*}
    ;;
  esac
  case $option in
  --version) version=${value#v} ;;
  --base-url) base_url=$value ;;
  --prefix) prefix=$value ;;
  --user) for_user=$value ;;
  --system) system=yes ;;
  --no-enable) enable=no ;;
  --no-linger) linger=no ;;
  --no-hardening) hardening=no ;;
  --uninstall) mode=uninstall ;;
  --purge) mode=purge ;;
  --yes | -y) assume_yes=yes ;;
  --dry-run) dry_run=yes ;;
  --help | -h)
    usage
    exit 0
    ;;
  *) usage_error "unknown option: $1" ;;
  esac
  shift
done

uid=$(id -u)
case $version in
*[!A-Za-z0-9.+-]*) usage_error "--version is no version: $version" ;;
esac

if [ "$system" = yes ]; then
  [ "$uid" = 0 ] || [ "$dry_run" = yes ] || die "--system needs root: run it with sudo"
  prefix=${prefix:-/opt/cicd-toolkit}
  unit_dir=/etc/systemd/user
  for_user=${for_user:-${SUDO_USER:-}}
  [ "$for_user" != root ] || for_user=''
  if [ -n "$for_user" ]; then
    for_uid=$(id -u "$for_user" 2>/dev/null) || die "there is no user $for_user"
    for_home=$(getent passwd "$for_user" | cut -d: -f6)
    for_config=$for_home/.config for_state=$for_home/.local/state for_cache=$for_home/.cache
    for_data=$for_home/.local/share
  fi
else
  [ -z "$for_user" ] || usage_error "--user goes with --system"
  [ -n "${HOME:-}" ] || die "HOME is not set"
  prefix=${prefix:-$HOME/.local}
  unit_dir=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
  for_user=$(id -un)
  for_uid=$uid
  for_home=$HOME
  for_config=${XDG_CONFIG_HOME:-$HOME/.config}
  for_state=${XDG_STATE_HOME:-$HOME/.local/state}
  for_data=${XDG_DATA_HOME:-$HOME/.local/share}
  for_cache=${XDG_CACHE_HOME:-$HOME/.cache}
fi
prefix=${prefix%/}
case $prefix in
/*) ;;
*) usage_error "--prefix must be an absolute path: $prefix" ;;
esac
case $prefix in
*[!A-Za-z0-9/._@+~\ -]*) usage_error "--prefix holds a character that a unit file cannot: $prefix" ;;
esac

bin_dir=$prefix/bin
home_dir=$prefix/lib/cicd-toolkit
programs='cicd-runner cicd-agent'
unit_path='%h/.local/bin:/opt/cicd-toolkit/bin:/usr/local/bin:/usr/bin:/bin'
service_units='cicd-runner.service cicd-agent@.service cicd-runner@.service cicd-clean.service'

scratch=''
probe_dir=''
cleanup() {
  [ -z "$scratch" ] || rm -rf "$scratch"
  [ -z "$probe_dir" ] || remove_probe
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

make_scratch() {
  [ -n "$scratch" ] || scratch=$(mktemp -d "${TMPDIR:-/tmp}/cicd-toolkit.XXXXXXXX")
}

# ---------------------------------------------------------------- files

make_dir() { # DIR [MODE]
  [ -d "$1" ] && return 0
  act mkdir -p "$1"
  [ $# -lt 2 ] || act chmod "$2" "$1"
}

# Puts a file in place by rename. Says 0 if it changed something, 1 if all was well.
put_file() { # SOURCE TARGET MODE
  if [ -f "$2" ] && cmp -s "$1" "$2"; then return 1; fi
  if [ "$dry_run" = yes ]; then
    say "would write: $2"
    return 0
  fi
  if ! { cp "$1" "$2.tmp.$$" && chmod "$3" "$2.tmp.$$" && mv -f "$2.tmp.$$" "$2"; }; then
    rm -f "$2.tmp.$$"
    die "cannot write $2"
  fi
}

# Makes or switches a symbolic link by rename.
put_link() { # TARGET LINK
  if [ "$(readlink "$2" 2>/dev/null)" = "$1" ]; then return 0; fi
  if [ "$dry_run" = yes ]; then
    say "would link: $2 -> $1"
    return 0
  fi
  rm -f "$2.tmp.$$"
  ln -s "$1" "$2.tmp.$$"
  # Neither spelling of "do not move into the folder it points to" is in POSIX.
  mv -fT "$2.tmp.$$" "$2" 2>/dev/null || mv -fh "$2.tmp.$$" "$2" || {
    rm -f "$2.tmp.$$"
    die "cannot switch $2"
  }
}

remove() { # PATH...
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then act rm -rf "$path"; fi
  done
}

remove_empty() { # DIR...
  for path in "$@"; do
    if [ -d "$path" ] && [ "$dry_run" = no ]; then rmdir "$path" 2>/dev/null || :; fi
  done
}

sha256() { # FILE: prints the checksum
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d' ' -f1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1" | cut -d' ' -f1
  elif command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 -r "$1" | cut -d' ' -f1
  else
    die "cannot verify a checksum: none of sha256sum, shasum and openssl is installed"
  fi
}

# ---------------------------------------------------------------- where the release comes from

platform() { # prints the triple
  case $(uname -s)-$(uname -m) in
  Linux-x86_64 | Linux-amd64) say x86_64-unknown-linux-gnu ;;
  Linux-aarch64 | Linux-arm64) say aarch64-unknown-linux-gnu ;;
  Darwin-x86_64) say x86_64-apple-darwin ;;
  Darwin-arm64) say aarch64-apple-darwin ;;
  *) die "there is no release for $(uname -s) on $(uname -m)" ;;
  esac
}

fetch() { # URL FILE
  case $1 in
  file://*) cp "${1#file://}" "$2" || die "cannot read $1" ;;
  https://*)
    if command -v curl >/dev/null 2>&1; then
      curl --fail --silent --show-error --location --proto '=https' --retry 3 \
        --connect-timeout 15 --max-time 1800 --output "$2" "$1" || die "cannot download $1"
    elif command -v wget >/dev/null 2>&1; then
      wget --quiet --https-only --tries=3 --timeout=60 --output-document="$2" "$1" ||
        die "cannot download $1"
    else
      die "cannot download $1: install curl or wget"
    fi
    ;;
  *) die "cannot download $1: only https:// and file:// are used" ;;
  esac
}

download_release() { # sets release_dir
  [ -n "$base_url" ] ||
    die "--version needs --base-url (or \$CICD_TOOLKIT_BASE_URL): where are the release's files?"
  archive=cicd-toolkit-$(platform).tar.gz
  url=$(printf '%s' "${base_url%/}" | sed "s|{version}|$version|g")
  if [ "$dry_run" = yes ]; then
    say "would download: $url/$archive and SHA256SUMS, and compare"
    release_dir=''
    return 0
  fi
  make_scratch
  say "Downloading $url/$archive"
  fetch "$url/SHA256SUMS" "$scratch/SHA256SUMS"
  fetch "$url/$archive" "$scratch/$archive"
  wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1; exit }' \
    "$scratch/SHA256SUMS")
  [ "${#wanted}" = 64 ] || die "SHA256SUMS has no checksum for $archive: nothing was installed"
  found=$(sha256 "$scratch/$archive")
  [ "$found" = "$wanted" ] ||
    die "the checksum of $archive is $found, not $wanted: nothing was installed"
  mkdir "$scratch/release"
  tar -xzf "$scratch/$archive" -C "$scratch/release" || die "cannot unpack $archive"
  release_dir=$scratch/release
  [ "$(build_field "$release_dir" version)" = "$version" ] ||
    die "$archive holds version $(build_field "$release_dir" version), not $version"
}

build_release() { # sets release_dir
  if [ "$dry_run" = yes ]; then
    say "would build: $source_dir"
    release_dir=''
    return 0
  fi
  make_scratch
  release_dir=$scratch/release
  say "Building $source_dir"
  for candidate in "${DENO:-}" "$(command -v deno || :)" "${HOME:-}/.deno/bin/deno"; do
    if [ -n "$candidate" ] && "$candidate" --version 2>/dev/null | grep -q '^deno 2\.'; then
      (cd "$source_dir" && "$candidate" run -A tools/build.ts --out "$release_dir") ||
        die "the build failed: nothing was installed"
      return 0
    fi
  done
  command -v npx >/dev/null 2>&1 ||
    die "cannot build: install Deno 2 (https://deno.com) or Node.js, or use --version"
  (cd "$source_dir" && npx -y deno@2.9.6 run -A tools/build.ts --out "$release_dir") ||
    die "the build failed: nothing was installed"
}

build_field() { # DIR FIELD: prints a field of build.json
  sed -n "s/^ *\"$2\": \"\([^\"]*\)\".*/\1/p" "$1/lib/cicd-toolkit/build.json" 2>/dev/null
}

find_release() { # sets release_dir, units_from
  source_dir=''
  case $0 in
  */install.sh | install.sh)
    source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    ;;
  esac
  if [ -n "$version" ]; then
    download_release
  elif [ -f "$source_dir/lib/cicd-toolkit/build.json" ]; then
    release_dir=$source_dir
  elif [ -f "$source_dir/tools/build.ts" ]; then
    build_release
  else
    die "there is nothing to install here: give --version, or run it from a checkout"
  fi
  if [ -n "$release_dir" ]; then
    units_from=$release_dir/lib/cicd-toolkit/units
    for file in "bin/cicd-runner" "bin/cicd-agent" "lib/cicd-toolkit/build.json"; do
      [ -f "$release_dir/$file" ] || die "the release is incomplete: $file is missing"
    done
    [ -f "$units_from/cicd-runner.service" ] || die "the release is incomplete: it has no units"
  else
    units_from=$source_dir/units
  fi
}

# ---------------------------------------------------------------- programs

# The release's name: its version and a digest of all its files.
release_id() {
  digest=$(cd "$release_dir" && find bin lib -type f | LC_ALL=C sort | while read -r file; do
    # The date of a build says nothing about what was built.
    case $file in */build.json) continue ;; esac
    printf '%s %s\n' "$(sha256 "$file")" "$file"
  done >"$scratch/files" && sha256 "$scratch/files")
  say "$(build_field "$release_dir" version)-$(printf '%.12s' "$digest")"
}

install_programs() {
  make_dir "$bin_dir"
  make_dir "$home_dir/releases"
  if [ -z "$release_dir" ]; then
    say "would install: $home_dir/releases/VERSION, and switch $home_dir/current to it"
    for program in $programs; do
      put_link "../lib/cicd-toolkit/current/bin/$program" "$bin_dir/$program"
    done
    return 0
  fi
  make_scratch
  id=$(release_id)
  target=$home_dir/releases/$id
  if [ ! -d "$target" ]; then
    if [ "$dry_run" = yes ]; then
      say "would install: $target"
    else
      staging=$home_dir/releases/.tmp.$$
      rm -rf "$staging"
      mkdir "$staging"
      cp -R "$release_dir/bin" "$release_dir/lib" "$staging/" || {
        rm -rf "$staging"
        die "cannot copy to $home_dir: nothing was changed"
      }
      # An upgrade that keeps the runtime shares its file: less disk, and warm pages.
      old=$home_dir/current/lib/cicd-toolkit/deno
      new=$staging/lib/cicd-toolkit/deno
      if [ -f "$old" ] && [ -f "$new" ] && cmp -s "$old" "$new"; then ln -f "$old" "$new" || :; fi
      chmod -R go-w "$staging"
      mv "$staging" "$target"
    fi
  fi
  # What cannot run here must not replace what can.
  if [ "$dry_run" = no ] &&
    ! XDG_CACHE_HOME=$scratch "$target/bin/cicd-runner" version >/dev/null 2>"$scratch/said"; then
    cat "$scratch/said" >&2
    [ "$(readlink "$home_dir/current" 2>/dev/null)" = "releases/$id" ] || rm -rf "$target"
    die "the new cicd-runner does not run on this machine: nothing was changed"
  fi
  before=$(readlink "$home_dir/current" 2>/dev/null || :)
  put_link "releases/$id" "$home_dir/current"
  for program in $programs; do
    put_link "../lib/cicd-toolkit/current/bin/$program" "$bin_dir/$program"
  done
  if [ "$dry_run" = no ] && [ "$before" != "releases/$id" ]; then
    [ -z "$before" ] || put_link "$before" "$home_dir/previous"
    prune_releases "$id" "${before#releases/}"
  fi
  if [ "$system" = yes ]; then
    put_link lib/cicd-toolkit/current/lib/cicd-toolkit/units "$prefix/units"
    make_dir "$prefix/skills"
    make_dir "$prefix/configs"
  fi
  warm_up
}

prune_releases() { # KEEP KEEP
  for path in "$home_dir"/releases/* "$home_dir"/releases/.tmp.*; do
    name=${path##*/}
    if [ -d "$path" ] && [ "$name" != "$1" ] && [ "$name" != "$2" ]; then rm -rf "$path"; fi
  done
}

# The runtime keeps compiled code: the first start after this one is a warm one.
warm_up() {
  [ "$dry_run" = no ] && [ "$system" = no ] || return 0
  for program in $programs; do
    "$bin_dir/$program" version >/dev/null 2>&1 || :
  done
}

# ---------------------------------------------------------------- units

sockets_changed=''

install_units() {
  make_dir "$unit_dir"
  for file in "$units_from"/*.service "$units_from"/*.socket "$units_from"/*.slice \
    "$units_from"/*.timer; do
    name=${file##*/}
    if put_file "$file" "$unit_dir/$name" 644; then
      case $name in *.socket) sockets_changed="$sockets_changed $name" ;; esac
    fi
  done
  case $bin_dir in
  "${HOME:-}/.local/bin" | /opt/cicd-toolkit/bin | /usr/local/bin | /usr/bin) drop_in_path=no ;;
  *) drop_in_path=yes ;;
  esac
  for unit in $service_units; do
    if [ "$drop_in_path" = yes ]; then
      make_scratch
      printf '[Service]\nEnvironment="PATH=%s:%s"\n' "$bin_dir" "$unit_path" >"$scratch/10-path.conf"
      make_dir "$unit_dir/$unit.d"
      put_file "$scratch/10-path.conf" "$unit_dir/$unit.d/10-path.conf" 644 || :
    elif [ -f "$unit_dir/$unit.d/10-path.conf" ]; then
      remove "$unit_dir/$unit.d/10-path.conf"
      remove_empty "$unit_dir/$unit.d"
    fi
  done
}

remove_units() {
  for unit in cicd-runner.socket cicd-runner.service cicd-runner@.service cicd-agent@.socket \
    cicd-agent@.service cicd.slice cicd-clean.service cicd-clean.timer; do
    remove "$unit_dir/$unit"
    for file in 10-path.conf 50-namespaces.conf 60-kernel-logs.conf; do
      remove "$unit_dir/$unit.d/$file"
    done
    remove_empty "$unit_dir/$unit.d"
  done
  for path in "$unit_dir"/*.wants/cicd-agent@*; do
    [ ! -L "$path" ] || remove "$path"
  done
}

# ---------------------------------------------------------------- the user's service manager

# Runs a command as the user who will own the runner, on that user's manager.
as_user() {
  if [ "$for_uid" = "$uid" ]; then
    XDG_RUNTIME_DIR=$runtime_dir "$@"
  else
    runuser -u "$for_user" -- env HOME="$for_home" XDG_RUNTIME_DIR="$runtime_dir" "$@"
  fi
}

find_runtime_dir() {
  if [ "$for_uid" = "$uid" ] && [ -n "${XDG_RUNTIME_DIR:-}" ]; then
    runtime_dir=$XDG_RUNTIME_DIR
  else
    runtime_dir=/run/user/$for_uid
  fi
}

manager_answers() {
  command -v systemctl >/dev/null 2>&1 &&
    as_user systemctl --user show --property=Version >/dev/null 2>&1
}

lingers() {
  [ -e "/var/lib/systemd/linger/$for_user" ] ||
    [ "$(loginctl show-user "$for_user" --property=Linger --value 2>/dev/null)" = yes ]
}

ensure_lingering() {
  [ "$linger" = yes ] && command -v loginctl >/dev/null 2>&1 && [ -d /run/systemd/system ] ||
    return 0
  lingers && return 0
  if [ "$dry_run" = yes ]; then
    say "would run: loginctl enable-linger $for_user"
    return 0
  fi
  loginctl enable-linger "$for_user" >/dev/null 2>&1 || :
  if lingers; then
    say "Enabled lingering for $for_user: the runner outlives the last session"
  else
    warn "cannot enable lingering for $for_user: the runner and its jobs will be killed when the"
    warn "last session ends. Run: sudo loginctl enable-linger $for_user"
  fi
}

# Waits up to 10 s for a manager that lingering has just started.
await_manager() {
  tries=0
  until manager_answers; do
    tries=$((tries + 1))
    { [ -e "/var/lib/systemd/linger/$for_user" ] && [ "$tries" -lt 20 ]; } || return 1
    sleep 0.5
  done
}

remove_probe() {
  rm -rf "$probe_dir/cicd-toolkit-probe.service" "$probe_dir/cicd-toolkit-probe.service.d"
  probe_dir=''
  as_user systemctl --user daemon-reload >/dev/null 2>&1 || :
}

# Whether a unit with this drop-in starts on this machine and can write its state.
hardening_works() { # FILE
  probe_dir=$runtime_dir/systemd/user
  as_user mkdir -p "$probe_dir/cicd-toolkit-probe.service.d"
  as_user tee "$probe_dir/cicd-toolkit-probe.service" >/dev/null <<UNIT
[Service]
Type=oneshot
ExecStart=/usr/bin/env test -w "%h/.local/state/cicd-toolkit"
UNIT
  as_user tee "$probe_dir/cicd-toolkit-probe.service.d/probe.conf" <"$1" >/dev/null
  as_user systemctl --user daemon-reload
  works=no
  if as_user systemctl --user start cicd-toolkit-probe.service >/dev/null 2>&1; then works=yes; fi
  as_user systemctl --user reset-failed cicd-toolkit-probe.service >/dev/null 2>&1 || :
  remove_probe
  [ "$works" = yes ]
}

install_hardening() {
  for file in "$units_from"/hardening/*.conf; do
    name=${file##*/}
    if [ "$dry_run" = yes ]; then
      say "would try: $name, and add it to the services if it works here"
      continue
    fi
    wanted=no
    if [ "$hardening" = yes ] && [ "$for_state" = "$for_home/.local/state" ] &&
      hardening_works "$file"; then wanted=yes; fi
    for unit in cicd-runner.service cicd-agent@.service cicd-clean.service; do
      if [ "$wanted" = yes ]; then
        make_dir "$unit_dir/$unit.d"
        put_file "$file" "$unit_dir/$unit.d/$name" 644 || :
      elif [ -f "$unit_dir/$unit.d/$name" ]; then
        remove "$unit_dir/$unit.d/$name"
        remove_empty "$unit_dir/$unit.d"
        fi
    done
    [ "$wanted" = yes ] || say "Left out $name: it does not work here, or is not wanted"
  done
}

# A socket takes its settings when it starts to listen, which its service must not outlast.
restart_sockets() {
  for changed in $sockets_changed; do
    pattern=$(printf '%s' "$changed" | sed 's/@/@*/')
    as_user systemctl --user list-units --plain --no-legend --state=active "$pattern" |
      while read -r unit _; do
        as_user systemctl --user stop "${unit%.socket}.service" 2>/dev/null
        as_user systemctl --user restart "$unit"
      done
  done
}

make_state_dirs() {
  for path in "$for_config/cicd-toolkit" "$for_state/cicd-toolkit" "$for_cache/cicd-toolkit"; do
    [ -d "$path" ] && continue
    if [ "$dry_run" = yes ]; then
      say "would make: $path"
    else
      as_user mkdir -p "${path%/*}" && as_user mkdir -m 700 "$path"
    fi
  done
  if [ "$system" = yes ]; then
    users=/var/lib/cicd-toolkit/users
    make_dir "$users" 711
    for path in "$users/$for_uid" "$users/$for_uid/sessions" "$users/$for_uid/sockets"; do
      make_dir "$path" 700
      act chown "$for_user:" "$path"
    done
  fi
}

start_units() {
  if [ "$dry_run" = yes ]; then
    say "would run: systemctl --user daemon-reload"
    [ "$enable" = no ] ||
      say "would run: systemctl --user enable cicd-runner.service (and socket) cicd-clean.timer"
    say "would run: systemctl --user try-restart cicd-runner.service 'cicd-agent@*.service'"
    [ "$enable" = no ] ||
      say "would run: systemctl --user start cicd-runner.socket cicd-clean.timer"
    return 0
  fi
  as_user systemctl --user daemon-reload
  restart_sockets
  # Only what runs is restarted; jobs are units of their own and go on.
  as_user systemctl --user try-restart cicd-runner.service 'cicd-agent@*.service' || :
  [ "$enable" = yes ] || return 0
  as_user systemctl --user reset-failed cicd-runner.socket cicd-runner.service 2>/dev/null || :
  as_user systemctl --user --quiet enable cicd-runner.service cicd-runner.socket cicd-clean.timer
  as_user systemctl --user start cicd-runner.socket ||
    die "cannot start cicd-runner.socket: see systemctl --user status cicd-runner.socket"
  as_user systemctl --user start cicd-clean.timer ||
    warn "cannot start cicd-clean.timer: see systemctl --user status cicd-clean.timer"
}

stop_units() {
  manager_answers || return 0
  act as_user systemctl --user disable --now cicd-clean.timer cicd-runner.socket \
    cicd-runner.service 2>/dev/null || :
  act as_user systemctl --user stop 'cicd-agent@*.socket' 'cicd-agent@*.service' 2>/dev/null || :
  # Takes every job along: each is in this slice.
  [ "$mode" = uninstall ] || act as_user systemctl --user stop cicd.slice 2>/dev/null || :
}

# ---------------------------------------------------------------- the three things it does

do_install() {
  find_release
  install_programs
  install_units
  if [ -z "$for_user" ]; then
    say "Installed to $prefix. Each user who wants a runner: "
    say "  loginctl enable-linger && systemctl --user enable --now cicd-runner.socket"
    return 0
  fi
  find_runtime_dir
  make_state_dirs
  ensure_lingering
  if await_manager; then
    install_hardening
    start_units
    report_socket
  else
    say "Installed to $prefix."
    say "There is no systemd user manager here, so nothing was started. Start it by hand with:"
    say "  $bin_dir/cicd-runner daemon"
  fi
  case :${PATH:-}: in
  *:"$bin_dir":*) ;;
  *) say "Add $bin_dir to your PATH to call cicd-runner by name." ;;
  esac
}

report_socket() {
  socket=$runtime_dir/cicd-runner.sock
  if [ "$dry_run" = yes ]; then return 0; fi
  say "Installed $(build_field "$home_dir/current" version) to $prefix."
  [ "$enable" = yes ] || return 0
  [ -S "$socket" ] || warn "$socket is not there: see systemctl --user status cicd-runner.socket"
  say "Try it:"
  say "  curl -N --unix-socket $socket 'http://localhost/v1/jobs?follow=1' \\"
  say "    -H 'Content-Type: application/json' \\"
  say "    -d '{\"project\": \"demo\", \"command\": [\"echo\", \"hello\"]}'"
}

do_remove() {
  if [ "$mode" = purge ] && [ "$assume_yes" = no ] && [ "$dry_run" = no ]; then
    [ -t 0 ] || die "--purge removes configuration, job history and logs: confirm with --yes"
    printf 'Remove cicd-toolkit with its configuration, job history and logs? [y/N] '
    read -r answer
    case $answer in y | Y | yes) ;; *) die "nothing was removed" ;; esac
  fi
  if [ -n "$for_user" ]; then
    find_runtime_dir
    stop_units
  fi
  remove_units
  # When the timer last fired; systemd keeps it beside the unit's life.
  [ -z "$for_user" ] || remove "$for_data/systemd/timers/stamp-cicd-clean.timer"
  if [ -n "$for_user" ] && manager_answers; then act as_user systemctl --user daemon-reload; fi
  for program in $programs; do
    # A program of the same name that someone else put there stays.
    case $(readlink "$bin_dir/$program" 2>/dev/null) in
    ../lib/cicd-toolkit/current/bin/*) remove "$bin_dir/$program" ;;
    esac
  done
  remove "$home_dir/current" "$home_dir/previous" "$home_dir/releases"
  remove_empty "$home_dir"
  if [ "$system" = yes ]; then
    [ ! -L "$prefix/units" ] || remove "$prefix/units"
    remove_empty "$prefix/skills" "$prefix/configs" "$bin_dir" "$prefix/lib" "$prefix"
  fi
  if [ "$mode" = purge ]; then
    if [ -n "$for_user" ]; then
      remove "$for_config/cicd-toolkit" "$for_state/cicd-toolkit" "$for_cache/cicd-toolkit/runtime"
      # Others may keep something beside it.
      remove_empty "$for_cache/cicd-toolkit"
      remove "$runtime_dir/cicd-toolkit"
    fi
    [ "$system" = no ] || remove /var/lib/cicd-toolkit
    say "Removed cicd-toolkit, its configuration and its state."
  else
    say "Removed cicd-toolkit. Configuration and state stay; --purge removes them."
  fi
}

case $mode in
install) do_install ;;
*) do_remove ;;
esac
