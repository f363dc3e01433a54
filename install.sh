#!/bin/sh
# Installs, upgrades and removes cicd-toolkit. Run with --help.
#
# This script fetches or builds a release, verifies it and puts its programs in place. It leaves
# units, hardening, lingering and data to `cicd-runner install` and `uninstall`. Every symlink is
# switched by rename: at any moment the installation is the old one or the new one. To repair an
# interrupted run, run it again.
set -eu

usage() {
  cat <<'TEXT'
Usage: install.sh [options]

Installs cicd-runner and cicd-agent with their systemd user units. In a checkout it builds them
first, in an unpacked release it installs that release, with --version it downloads one.

  --version X        download release X, verify its checksum, install it
  --base-url URL     address of the release's files (https:// or file://);
                     also $CICD_TOOLKIT_BASE_URL
  --public-key KEY   verify the release's signature with this key of minisign, if that or
                     OpenSSL 3 is installed; also $CICD_TOOLKIT_PUBLIC_KEY
  --prefix DIR       install to DIR/bin and DIR/lib (default: ~/.local)
  --system           install for all users to /opt/cicd-toolkit, units to /etc/systemd/user (root)
  --user NAME        with --system: set up the runner for NAME (default: the caller of sudo)
  --no-enable        install the units, but neither enable nor start them
  --no-linger        do not enable lingering: jobs may end with your last session
  --no-hardening     leave out the drop-ins that need user namespaces
  --uninstall        remove programs and units; keep configuration and state
  --purge            remove configuration and state too; stop running jobs
  --yes              do not ask for confirmation
  --dry-run          print every action, change nothing
  --help
TEXT
}

# Set in the copy that belongs to a release; a checkout has no download address.
default_version=''
default_base_url=''
default_public_key=''

# What a checkout is built with. The runtime becomes part of the build, and another is untested.
deno_version=2.9.6

# Nothing that is installed is open to other accounts, whatever the caller's umask is.
umask go-w

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
    say "would run: $*"
  else
    "$@"
  fi
}

# ---------------------------------------------------------------- options

mode=install
version=''
base_url=${CICD_TOOLKIT_BASE_URL:-$default_base_url}
public_key=${CICD_TOOLKIT_PUBLIC_KEY:-$default_public_key}
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
  --version | --base-url | --public-key | --prefix | --user)
    [ $# -ge 2 ] || usage_error "$option needs a value"
    value=$2
    shift
    ;;
  --version=* | --base-url=* | --public-key=* | --prefix=* | --user=*)
    value=${option#*=}
    option=${option%%=*}
    ;;
  esac
  case $option in
  --version) version=${value#v} ;;
  --base-url) base_url=$value ;;
  --public-key) public_key=$value ;;
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
source_dir=''
case $0 in
*/install.sh | install.sh) source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) ;;
esac
case $version in
*[!A-Za-z0-9.+-]*) usage_error "invalid --version: $version" ;;
esac

if [ "$system" = yes ]; then
  [ "$uid" = 0 ] || [ "$dry_run" = yes ] || die "--system needs root: use sudo"
  [ "$(uname -s)" != Darwin ] || die "--system needs systemd, which macOS does not have"
  umask 022
  prefix=${prefix:-/opt/cicd-toolkit}
  for_user=${for_user:-${SUDO_USER:-}}
  [ "$for_user" != root ] || for_user=''
  [ -z "$for_user" ] || id -u "$for_user" >/dev/null 2>&1 || die "there is no user $for_user"
else
  [ -z "$for_user" ] || usage_error "--user needs --system"
  [ -n "${HOME:-}" ] || die "HOME is not set"
  prefix=${prefix:-$HOME/.local}
fi
prefix=${prefix%/}
case $prefix in
/*) ;;
*) usage_error "--prefix must be an absolute path: $prefix" ;;
esac
case $prefix in
*[!A-Za-z0-9/._@+~\ -]*) usage_error "--prefix contains a character that unit files do not allow: $prefix" ;;
esac

bin_dir=$prefix/bin
home_dir=$prefix/lib/cicd-toolkit
programs='cicd-runner cicd-agent'

scratch=''
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

make_scratch() {
  if [ -z "$scratch" ]; then
    require_ours "${TMPDIR:-/tmp}" "set TMPDIR to a directory of your own"
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/cicd-toolkit.XXXXXXXX")
  fi
}

# Accounts outside of a user namespace, root among them, are all shown as this one.
unmapped=''
if [ -r /proc/self/uid_map ] && read -r _ _ accounts </proc/self/uid_map; then
  [ "$accounts" = 4294967295 ] || unmapped=65534
fi

# Stops where another account could exchange what this script writes and then runs, and gain this
# one: each directory above must belong to this account or root, and only they may replace its
# entries. What does not exist yet is skipped.
require_ours() { # DIR ADVICE
  [ -d "$1" ] || return 0
  for way in "$1" "$(CDPATH='' cd -P -- "$1" && pwd -P)"; do
    case $way in
    /*) ;;
    *) die "not an absolute path: $way" ;;
    esac
    while :; do
      facts=$(LC_ALL=C ls -ldn -- "${way:-/}") || die "cannot look at ${way:-/}"
      owner=$(printf '%s\n' "$facts" | awk '{ print $3 }')
      group=$(printf '%s\n' "$facts" | awk '{ print $4 }')
      [ "$owner" = 0 ] || [ "$owner" = "$uid" ] || [ "$owner" = "$unmapped" ] ||
        die "${way:-/} belongs to another account (uid $owner), which could run code as yours: $2"
      case $facts in
      l* | ?????????[tT]*) ;;
      ????????w*) die "every account can write to ${way:-/} and run code as yours: chmod o-w it, or $2" ;;
      ?????w*)
        # A group with the account's number is its own.
        [ "$group" = "$owner" ] || warn "group $group can write to ${way:-/} and run code as yours"
        ;;
      esac
      case $way in '' | /) break ;; esac
      way=${way%/*}
    done
  done
}

require_our_places() {
  for place in "$prefix" "$bin_dir" "$home_dir" "$home_dir/releases"; do
    require_ours "$place" "use another --prefix"
  done
}

# ---------------------------------------------------------------- files

make_dir() { # DIR
  [ -d "$1" ] || act mkdir -p "$1"
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
  # Neither spelling of "do not move into the directory it points to" is in POSIX.
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

# ---------------------------------------------------------------- launchd, on macOS

is_macos=no
[ "$(uname -s)" != Darwin ] || is_macos=yes
agent_label=cicd-toolkit.runner
own_home=${HOME:-}
agent_file=$own_home/Library/LaunchAgents/$agent_label.plist

stop_launch_agent() {
  # Also the one of a plist that is gone.
  if launchctl print "gui/$uid/$agent_label" >/dev/null 2>&1; then
    act launchctl bootout "gui/$uid/$agent_label" || die "cannot stop $agent_label"
  fi
}

# Escapes a text for XML, and that for sed.
xml() {
  printf '%s' "$1" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' -e 's/[&|\\]/\\&/g'
}

install_launch_agent() {
  if [ "$dry_run" = yes ]; then
    say "would write: $agent_file"
  else
    mkdir -p "${agent_file%/*}" "$own_home/Library/Logs"
    sed -e "s|@bin@|$(xml "$bin_dir")|g" -e "s|@home@|$(xml "$own_home")|g" \
      "$home_dir/current/lib/cicd-toolkit/units/launchd/$agent_label.plist" >"$agent_file.tmp.$$" ||
      die "cannot write $agent_file"
    mv -f "$agent_file.tmp.$$" "$agent_file"
  fi
  [ "$enable" = yes ] || return 0
  stop_launch_agent
  act launchctl bootstrap "gui/$uid" "$agent_file" || die "cannot start $agent_label"
  warn "macOS is untried: report what does not work"
}

remove_launch_agent() {
  stop_launch_agent
  remove "$agent_file"
}

# ---------------------------------------------------------------- the release

platform() { # prints the triple
  case $(uname -s)-$(uname -m) in
  Linux-x86_64 | Linux-amd64) say x86_64-unknown-linux-gnu ;;
  Linux-aarch64 | Linux-arm64) say aarch64-unknown-linux-gnu ;;
  Darwin-x86_64) say x86_64-apple-darwin ;;
  Darwin-arm64) say aarch64-apple-darwin ;;
  *) die "there is no release for $(uname -s) on $(uname -m)" ;;
  esac
}

# A release is far smaller; the unit is 512 bytes or, in some shells, 1,024.
download_max_blocks=1048576

fetch() { # URL FILE
  case $1 in
  file://*) cp "${1#file://}" "$2" || die "cannot read $1" ;;
  https://*)
    if command -v curl >/dev/null 2>&1; then
      (
        ulimit -f "$download_max_blocks"
        exec curl --fail --silent --show-error --location --proto '=https' --retry 3 \
          --connect-timeout 15 --max-time 1800 --output "$2" "$1"
      ) || die "cannot download $1"
    elif command -v wget >/dev/null 2>&1; then
      # It has no limit of its own for the whole time.
      limit=''
      ! command -v timeout >/dev/null 2>&1 || limit='timeout 1800'
      (
        ulimit -f "$download_max_blocks"
        # shellcheck disable=SC2086 # of two words
        exec $limit wget --quiet --https-only --tries=3 --timeout=60 --output-document="$2" "$1"
      ) || die "cannot download $1"
    else
      die "cannot download $1: install curl or wget"
    fi
    ;;
  *) die "cannot download $1: only https:// and file:// are supported" ;;
  esac
}

# The signature covers the checksums, and those cover every file.
verify_signature() { # URL
  [ -n "$public_key" ] || return 0
  if command -v minisign >/dev/null 2>&1; then
    verify=verify_by_minisign
  elif openssl_can_verify; then
    verify=verify_by_openssl
  else
    warn "the signature was not verified, only the checksum: that needs minisign, or OpenSSL 3"
    return 0
  fi
  fetch "$1/checksums.txt.minisig" "$scratch/checksums.txt.minisig"
  "$verify" ||
    die "the signature of checksums.txt is not one of $public_key: nothing was installed"
}

verify_by_minisign() {
  minisign -Vqm "$scratch/checksums.txt" -P "$public_key"
}

# LibreSSL and OpenSSL 1 lack the option, some builds the algorithms.
openssl_can_verify() {
  { openssl pkeyutl -help 2>&1 | grep -q -e '-rawin'; } &&
    openssl dgst -blake2b512 </dev/null >/dev/null 2>&1 &&
    ed25519_key "$(awk 'BEGIN { while (i++ < 43) printf "A" }')=" >/dev/null &&
    openssl pkey -pubin -inform DER -in "$scratch/key" -noout 2>/dev/null
}

# Writes a key of 32 bytes as OpenSSL reads it.
ed25519_key() { # BASE64
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && unbase64 "$1"; } >"$scratch/key"
}

unbase64() {
  printf '%s\n' "$1" | openssl base64 -d -A
}

# As minisign does: the signature of the checksums, or of their hash, and the one of the comment.
# https://jedisct1.github.io/minisign/#signature-format
verify_by_openssl() {
  signed=$scratch/checksums.txt
  {
    read -r _ && read -r first && read -r comment && read -r second
  } <"$signed.minisig" || return 1
  case $comment in 'trusted comment: '*) ;; *) return 1 ;; esac
  unbase64 "$public_key" >"$scratch/public" && unbase64 "$first" >"$scratch/first" &&
    unbase64 "$second" >"$scratch/second" || return 1
  has_bytes 42 "$scratch/public" && has_bytes 74 "$scratch/first" &&
    has_bytes 64 "$scratch/second" || return 1
  # Both begin with the algorithm, in 2 bytes, and the number of the key, in 8.
  [ "$(head -c 2 "$scratch/public")" = Ed ] || return 1
  [ "$(bytes_3_to_10 "$scratch/public")" = "$(bytes_3_to_10 "$scratch/first")" ] || return 1
  case $(head -c 2 "$scratch/first") in
  ED) openssl dgst -blake2b512 -binary "$signed" >"$scratch/message" || return 1 ;;
  Ed) cp "$signed" "$scratch/message" || return 1 ;;
  *) return 1 ;;
  esac
  tail -c 64 "$scratch/first" >"$scratch/signature"
  { cat "$scratch/signature" && printf '%s' "${comment#trusted comment: }"; } >"$scratch/about"
  ed25519_key "$(tail -c 32 "$scratch/public" | openssl base64 -A)"
  is_signed "$scratch/message" "$scratch/signature" && is_signed "$scratch/about" "$scratch/second"
}

has_bytes() { # COUNT FILE
  [ "$(wc -c <"$2")" -eq "$1" ]
}

bytes_3_to_10() { # FILE
  head -c 10 "$1" | tail -c 8 | od -An -tx1
}

is_signed() { # FILE SIGNATURE
  openssl pkeyutl -verify -pubin -keyform DER -inkey "$scratch/key" -rawin -in "$1" \
    -sigfile "$2" >/dev/null 2>&1
}

download_release() { # sets release_dir
  [ -n "$base_url" ] ||
    die "--version needs --base-url (or \$CICD_TOOLKIT_BASE_URL), the address of the release's files"
  triple=$(platform)
  case $triple in
  *-linux-*) system_name=linux ;;
  *) system_name=darwin ;;
  esac
  case $triple in
  x86_64-*) archive=cicd-toolkit-$system_name-amd64.tar.gz ;;
  *) archive=cicd-toolkit-$system_name-arm64.tar.gz ;;
  esac
  url=$(printf '%s' "${base_url%/}" | sed "s|{version}|$version|g")
  if [ "$dry_run" = yes ]; then
    say "would download: $url/$archive and checksums.txt, and verify the checksum"
    release_dir=''
    return 0
  fi
  make_scratch
  say "Downloading $url/$archive"
  fetch "$url/checksums.txt" "$scratch/checksums.txt"
  verify_signature "$url"
  fetch "$url/$archive" "$scratch/$archive"
  wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1; exit }' \
    "$scratch/checksums.txt")
  [ "${#wanted}" = 64 ] || die "checksums.txt has no checksum for $archive: nothing was installed"
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
  (
    # The build's caches are code too.
    # shellcheck disable=SC2030
    [ -O "${HOME:-}" ] || export HOME="$scratch"
    deno=$(find_deno) || exit 1
    cd "$source_dir" && "$deno" run -A tools/build.ts --relocatable --out "$release_dir"
  ) || die "the build failed: nothing was installed"
}

# Prints the path of the Deno to build with: exactly the version this tree was made for.
find_deno() {
  found=''
  # shellcheck disable=SC2031
  for candidate in "${DENO:-}" "$(command -v deno || :)" "${HOME:-}/.deno/bin/deno"; do
    # One that was asked for is not silently passed over.
    if [ -z "$candidate" ] || { [ -z "${DENO:-}" ] && [ ! -x "$candidate" ]; }; then continue; fi
    is=$("$candidate" --version 2>/dev/null | sed -n '1s/^deno \([^ ]*\).*/\1/p')
    if [ "$is" = "$deno_version" ]; then
      say "$candidate"
      return 0
    fi
    found="$found, not ${is:-something else} ($candidate)"
    [ -z "${DENO:-}" ] || break
  done
  if [ -z "${DENO:-}" ] && command -v npx >/dev/null 2>&1; then
    [ -z "$found" ] || warn "this tree needs Deno $deno_version$found: trying npx"
    if npx -y "deno@$deno_version" eval 'console.log(Deno.execPath())'; then return 0; fi
  fi
  die "cannot build: this tree needs Deno $deno_version${found:-, and none was found}. Install it with
  npm install --global deno@$deno_version
or from https://github.com/denoland/deno/releases/tag/v$deno_version, set DENO to its path, or use
--version to install a release that is already built"
}

build_field() { # DIR FIELD: prints a field of build.json
  sed -n "s/^ *\"$2\": \"\([^\"]*\)\".*/\1/p" "$1/lib/cicd-toolkit/build.json" 2>/dev/null
}

find_release() { # sets release_dir; empty in a dry run that would download or build it
  if [ -n "$version" ]; then
    download_release
  elif [ -n "$source_dir" ] && [ -f "$source_dir/lib/cicd-toolkit/build.json" ]; then
    release_dir=$source_dir
  elif [ -n "$source_dir" ] && [ -f "$source_dir/tools/build.ts" ]; then
    build_release
  elif [ -n "$default_version" ]; then
    version=$default_version
    download_release
  else
    die "there is no release here: use --version, or run this from a checkout"
  fi
  [ -n "$release_dir" ] || return 0
  for file in bin/cicd-runner bin/cicd-agent lib/cicd-toolkit/build.json \
    lib/cicd-toolkit/units/cicd-runner.service; do
    [ -f "$release_dir/$file" ] || die "the release is incomplete: $file is missing"
  done
}

# ---------------------------------------------------------------- programs

# The release's name: its version and a digest of all its files.
release_id() { # DIR
  digest=$(cd "$1" && find bin lib -type f | LC_ALL=C sort | while read -r file; do
    # The date of a build does not change its content.
    case $file in */build.json) continue ;; esac
    printf '%s %s\n' "$(sha256 "$file")" "$file"
  done >"$scratch/files" && sha256 "$scratch/files")
  say "$(build_field "$1" version)-$(printf '%.12s' "$digest")"
}

is_linked() { # NAME
  for link in current previous; do
    [ "$(readlink "$home_dir/$link" 2>/dev/null)" != "releases/$1" ] || return 0
  done
  return 1
}

# Finds the place of a release: where it is, whole, or where there is none, or a damaged copy that is
# not in use. One that is in use stays until another has taken its place.
find_place() { # ID: sets id and target
  for id in "$1" "$1.2" "$1.3"; do
    target=$home_dir/releases/$id
    [ -d "$target" ] && [ "$(release_id "$target")" != "$1" ] || return 0
    is_linked "$id" && continue
    [ "$dry_run" = yes ] || rm -rf "$target"
    return 0
  done
}

# Stops unless the program is what build.json says. A program that cannot run here, or is of another
# build, must not replace one that can.
require_working() { # DIR
  here=$(platform 2>/dev/null || :)
  built=$(build_field "$1" target)
  [ -z "$here" ] || [ -z "$built" ] || [ "$here" = "$built" ] ||
    die "the release is for $built, this machine is $here: nothing was changed"
  if ! aside "$1/bin/cicd-runner" version --json >"$scratch/facts" 2>"$scratch/said"; then
    cat "$scratch/said" >&2
    die "the new cicd-runner does not run on this machine: nothing was changed"
  fi
  for field in version deno target; do
    built=$(build_field "$1" "$field")
    is=$(sed -n "s/.*\"$field\": *\"\([^\"]*\)\".*/\1/p" "$scratch/facts")
    [ -z "$built" ] || [ "$is" = "$built" ] ||
      die "the release says $field $built, its cicd-runner ${is:-nothing}: nothing was changed"
  done
}

# The lock of `cicd-runner upgrade`. Where there is no flock, as on macOS, nothing holds up a second.
take_lock() {
  [ "$dry_run" = no ] && [ -d "$home_dir" ] && command -v flock >/dev/null 2>&1 || return 0
  # Another account could hold a file that it can read.
  (umask 077 && : >>"$home_dir/upgrade.lock") || die "cannot write $home_dir/upgrade.lock"
  exec 9>>"$home_dir/upgrade.lock"
  flock -n 9 ||
    die "another installation or upgrade is at work in $home_dir: wait for its end"
}

install_programs() {
  make_dir "$bin_dir"
  make_dir "$home_dir/releases"
  require_our_places
  take_lock
  if [ -z "$release_dir" ]; then
    say "would install: $home_dir/releases/VERSION, and switch $home_dir/current to it"
    for program in $programs; do
      put_link "../lib/cicd-toolkit/current/bin/$program" "$bin_dir/$program"
    done
    return 0
  fi
  make_scratch
  [ "$dry_run" = yes ] || say "Installing $(build_field "$release_dir" version) to $prefix"
  find_place "$(release_id "$release_dir")"
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
      # If the runtime is unchanged, both releases share its file: less disk, and warm pages.
      old=$home_dir/current/lib/cicd-toolkit/deno
      new=$staging/lib/cicd-toolkit/deno
      if [ -f "$old" ] && [ -f "$new" ] && cmp -s "$old" "$new"; then ln -f "$old" "$new" || :; fi
      chmod -R go-w "$staging"
      mv "$staging" "$target"
    fi
  fi
  if [ "$dry_run" = no ]; then
    # By an earlier installer, under a umask that let others in.
    open=$(find "$target" ! -type l \( -perm -0002 -o ! -user "$uid" ! -user 0 \) | head -n 1)
    [ -z "$open" ] || die "another account can change $open: remove $target, and run this again"
    if ! (require_working "$target"); then
      [ "$(readlink "$home_dir/current" 2>/dev/null)" = "releases/$id" ] || rm -rf "$target"
      exit 1
    fi
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
  keep_origin
  warm_up
}

# Tells `cicd-runner upgrade` where this release came from; one that was built here came from nowhere.
keep_origin() {
  [ "$dry_run" = no ] && [ -n "$base_url" ] || return 0
  {
    printf 'url=%s\n' "$base_url"
    [ -z "$public_key" ] || printf 'public_key=%s\n' "$public_key"
  } >"$home_dir/origin.tmp.$$" && mv -f "$home_dir/origin.tmp.$$" "$home_dir/origin"
}

prune_releases() { # KEEP KEEP
  for path in "$home_dir"/releases/* "$home_dir"/releases/.tmp.*; do
    name=${path##*/}
    if [ -d "$path" ] && [ "$name" != "$1" ] && [ "$name" != "$2" ]; then rm -rf "$path"; fi
  done
}

# The runtime caches compiled code, so the next start is a warm one.
warm_up() {
  [ "$dry_run" = no ] && [ "$system" = no ] || return 0
  for program in $programs; do
    "$bin_dir/$program" version >/dev/null 2>&1 || :
  done
}

# ---------------------------------------------------------------- completions and manual

share_dir=$prefix/share
[ "$system" = no ] || share_dir=/usr/local/share
bash_file=$share_dir/bash-completion/completions/cicd-runner
zsh_file=$share_dir/zsh/site-functions/_cicd-runner
fish_file=$share_dir/fish/vendor_completions.d/cicd-runner.fish
man_file=$share_dir/man/man1/cicd-runner.1

# Writes the output of a command of cicd-runner to a file, by rename; a failure is only a warning.
put_output() { # FILE COMMAND...
  file=$1
  shift
  if [ "$dry_run" = yes ]; then
    say "would write: $file"
    return 0
  fi
  if mkdir -p "${file%/*}" && aside "$bin_dir/cicd-runner" "$@" >"$file.tmp.$$"; then
    chmod 0644 "$file.tmp.$$"
    mv -f "$file.tmp.$$" "$file"
  else
    rm -f "$file.tmp.$$"
    warn "cannot write $file"
  fi
}

install_shell_files() {
  [ "$dry_run" = yes ] || make_scratch
  put_output "$bash_file" completion bash
  put_output "$zsh_file" completion zsh
  put_output "$fish_file" completion fish
  put_output "$man_file" manual
}

remove_shell_files() {
  for file in "$bash_file" "$zsh_file" "$fish_file" "$man_file"; do
    # A file of the same name from elsewhere stays.
    if grep -qi cicd-runner "$file" 2>/dev/null; then
      remove "$file"
      remove_empty "${file%/*}" "$(dirname "${file%/*}")"
    fi
  done
  [ "$system" = yes ] || remove_empty "$share_dir"
}

# ---------------------------------------------------------------- units and data

# Runs a program without writing to the caller's caches.
aside() {
  CICD_TOOLKIT_CACHE=$scratch/runtime TMPDIR=$scratch "$@"
}

# Runs cicd-runner, or prints the command if there is none yet.
hand_over() { # COMMAND [FLAG...]
  [ "$system" = no ] || set -- "$@" --system
  [ "$system" = no ] || [ -z "$for_user" ] || set -- "$@" --user "$for_user"
  if [ -z "$runner" ]; then
    say "would run: cicd-runner $*"
    return 0
  fi
  [ "$dry_run" = no ] || set -- "$@" --dry-run
  make_scratch
  aside "$runner" "$@"
}

do_install() {
  find_release
  install_programs
  runner=$bin_dir/cicd-runner
  [ "$dry_run" = no ] || runner=${release_dir:+$release_dir/bin/cicd-runner}
  install_shell_files
  if [ "$is_macos" = yes ]; then
    install_launch_agent
    return 0
  fi
  set -- --prefix "$prefix"
  [ "$enable" = yes ] || set -- "$@" --no-enable
  [ "$linger" = yes ] || set -- "$@" --no-linger
  [ "$hardening" = yes ] || set -- "$@" --no-hardening
  hand_over install "$@" || die "cannot install the units: see above, and run it again"
}

# Finds a program that can remove everything: in this release, or installed.
find_runner() { # sets runner
  require_our_places
  make_scratch
  for runner in "${source_dir:-/nowhere}/bin/cicd-runner" "$home_dir/current/bin/cicd-runner"; do
    if [ -x "$runner" ] && aside "$runner" uninstall --help 2>/dev/null | grep -q -e --purge; then
      return 0
    fi
  done
  find_release
  runner=${release_dir:+$release_dir/bin/cicd-runner}
}

do_remove() {
  if [ "$mode" = purge ] && [ "$assume_yes" = no ] && [ "$dry_run" = no ]; then
    [ -t 0 ] || die "--purge removes configuration, job history and logs: confirm with --yes"
    printf 'Remove cicd-toolkit with its configuration, job history and logs? [y/N] '
    read -r answer
    case $answer in y | Y | yes) ;; *) die "nothing was removed" ;; esac
  fi
  require_our_places
  take_lock
  # Units are removed before programs: without programs, only data can remain.
  if [ "$is_macos" = yes ]; then
    remove_launch_agent
    if [ "$mode" = purge ]; then
      for path in .config/cicd-toolkit .local/state/cicd-toolkit .cache/cicd-toolkit; do
        remove "$own_home/$path"
      done
    fi
  elif [ "$mode" = purge ] || [ -d "$home_dir/releases" ]; then
    find_runner
    set --
    [ "$mode" = uninstall ] || set -- --purge --yes
    hand_over uninstall "$@" || die "cannot remove everything: see above; the programs were kept"
  fi
  for program in $programs; do
    # A program of the same name from elsewhere stays.
    case $(readlink "$bin_dir/$program" 2>/dev/null) in
    ../lib/cicd-toolkit/current/bin/*) remove "$bin_dir/$program" ;;
    esac
  done
  remove_shell_files
  remove "$home_dir/current" "$home_dir/previous" "$home_dir/releases" "$home_dir/origin" \
    "$home_dir/upgrade.lock" "$home_dir/upgrade.json"
  remove_empty "$home_dir"
  if [ "$system" = yes ]; then
    [ ! -L "$prefix/units" ] || remove "$prefix/units"
    remove_empty "$prefix/skills" "$prefix/configs" "$bin_dir" "$prefix/lib" "$prefix"
  fi
  if [ "$mode" = purge ]; then
    say "Removed cicd-toolkit, its configuration and its state."
  else
    say "Removed cicd-toolkit. Configuration and state stay; --purge removes them."
  fi
}

case $mode in
install) do_install ;;
*) do_remove ;;
esac
