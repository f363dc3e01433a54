#!/bin/sh
# The first process of a container. Starts the runner, reaps orphaned processes of jobs, and lets
# running jobs end before the container does.
#
#     cicd-container daemon [flags]      the runner
#     cicd-container status|run|…        the command line, on the runner of this container
#
# STOP_WAIT_SECONDS (default 0) is how long a stop waits for running jobs. New jobs are accepted
# meanwhile and wait for the next start. The stop timeout of the container must be longer.
set -eu

case ${1-daemon} in
daemon) ;;
*) exec cicd-runner "$@" ;;
esac

state=${XDG_STATE_HOME:?is not set}/cicd-toolkit

# Some platforms mount the volume as root: change its owner, then continue without privileges.
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$state" "${XDG_RUNTIME_DIR:?is not set}"
  chown cicd:cicd "$state" "$XDG_RUNTIME_DIR"
  export HOME=/home/cicd
  exec setpriv --reuid=cicd --regid=cicd --init-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all "$0" "$@"
fi

wait_seconds=${STOP_WAIT_SECONDS:-0}
case $wait_seconds in
'' | *[!0-9]*)
  echo "cicd-container: STOP_WAIT_SECONDS is not a whole number: $wait_seconds" >&2
  exit 64
  ;;
esac
# Marks that the queue was paused by a stop and not by a person.
mark=$state/paused-by-stop
stopping=no

field() { # NAME: prints a field of the runner's status
  cicd-runner status --json 2>/dev/null | sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9]*\).*/\1/p"
}

stop() {
  trap '' TERM INT
  [ "$stopping" = no ] || return 0
  stopping=yes
  if [ "$wait_seconds" -gt 0 ] && [ "$(field mode)" = open ] && : >"$mark"; then
    deadline=$(($(date +%s) + wait_seconds))
    cicd-runner pause >/dev/null || :
    while [ "$(field in_flight)" != 0 ] && [ "$(date +%s)" -lt "$deadline" ]; do
      kill -0 "$runner" 2>/dev/null || break
      sleep 1
    done
  fi
  kill -TERM "$runner" 2>/dev/null || :
}

resume_after_stop() {
  until cicd-runner resume >/dev/null 2>&1; do
    kill -0 "$runner" 2>/dev/null || return 0
    sleep 1
  done
  rm -f "$mark"
}

cicd-runner "$@" &
runner=$!
trap stop TERM INT
trap 'kill -HUP "$runner"' HUP
[ ! -e "$mark" ] || resume_after_stop &
# The shell's wait also reaps the orphaned processes of jobs, which would stay as zombies.
while :; do
  code=0
  wait "$runner" || code=$?
  kill -0 "$runner" 2>/dev/null || exit "$code"
done
