/**
 * The supervisor of an attempt on machines without a service manager.
 *
 * One POSIX shell per attempt, in a session of its own. It outlives the agent, enforces the time
 * limit and the grace period, ends all processes of the attempt, and writes the same record as
 * `ExecStopPost=`.
 *
 * The processes of an attempt are those in its session, or with its `CICD_JOB_ID` and
 * `CICD_ATTEMPT`. A process that leaves the session *and* drops these variables escapes: only a
 * cgroup would hold it.
 *
 * Whatever it writes after the start, it writes over files from before it: a full disk keeps no end
 * from being recorded.
 *
 * | call | effect |
 * |---|---|
 * | `run DIRECTORY JOB ATTEMPT LIMIT GRACE OUT ERR UNSET ARGV…` | runs the job; prints `begun` or `exists` |
 * | `alive DIRECTORY` | exits with 0 while the supervisor is running; continues it if it was stopped |
 * | `stop DIRECTORY` | asks the attempt to end |
 * | `sweep DIRECTORY JOB ATTEMPT` | kills the processes of a dead supervisor |
 *
 * @module
 */

/**
 * The program. It runs with the job's variables, so its own have names no job uses, and its helpers
 * are found on the system's path, not the job's.
 *
 * The exit status does not distinguish an exit with 143 from a death by SIGTERM. The shell's stderr
 * does: it has a message only after a death by signal.
 */
export const SUPERVISOR_PROGRAM = `
cicd__identity() {
  if [ -r "/proc/$1/stat" ]; then
    cicd__line=
    read -r cicd__line <"/proc/$1/stat" || return 1
    set -- \${cicd__line##*) }
    [ "$1" != Z ] && shift 19 && cicd__identity=$1
  else
    cicd__identity=$(command -p ps -o lstart= -p "$1") && [ -n "$cicd__identity" ]
  fi 2>/dev/null
}
cicd__read_supervisor() {
  [ -f "$1/supervisor" ] || return 1
  # The job may have put an endless file here.
  cicd__text=$(command -p head -c 99 "$1/supervisor") || return 1
  cicd__main=\${cicd__text%%
*}
  cicd__known=\${cicd__text#*
}
  # Also forged: a group or session of these numbers would be every process of the account.
  case $cicd__main in '' | 0* | 1 | *[!0-9]*) return 1 ;; esac
}
cicd__find_supervisor() {
  cicd__read_supervisor "$1" || return 1
  cicd__identity "$cicd__main" && [ "$cicd__identity" = "$cicd__known" ] || return 1
  [ ! -r "/proc/$cicd__main/cmdline" ] ||
    command -p grep -qazxF -- "$1" "/proc/$cicd__main/cmdline"
} 2>/dev/null
cicd__members() {
  cicd__found=
  if [ -r /proc/self/stat ]; then
    for cicd__stat in /proc/[0-9]*/stat; do
      cicd__line=
      read -r cicd__line <"$cicd__stat" || continue
      set -- "$1" "$2" "$3" "$4" \${cicd__line##*) }
      [ "$8" = "$1" ] && [ "$5" != Z ] && cicd__add "\${cicd__line%% *}" "$4"
    done
    for cicd__file in $(command -p grep -lazxF "CICD_JOB_ID=$2" /proc/[0-9]*/environ); do
      command -p grep -qazxF "CICD_ATTEMPT=$3" "$cicd__file" || continue
      cicd__file=\${cicd__file%/environ}
      cicd__add "\${cicd__file#/proc/}" "$4"
    done
  else
    for cicd__pid in $(command -p ps -A -o pid= -o pgid= |
      while read -r cicd__pid cicd__group; do
        [ "$cicd__group" != "$1" ] || echo "$cicd__pid"
      done); do
      cicd__add "$cicd__pid" "$4"
    done
  fi
} 2>/dev/null
cicd__add() {
  case " $2 $cicd__found " in
    *" $1 "*) ;;
    *) kill -0 "$1" && cicd__found="$cicd__found $1" ;;
  esac
}
cicd__kill_all() {
  while cicd__members "$@"; [ -n "$cicd__found" ]; do
    kill -s KILL $cicd__found
    command -p sleep 0.02
  done
} 2>/dev/null
cicd__over() {
  [ -e "$cicd__directory/stop" ] || [ -f "$cicd__draft.ended" ]
}
cicd__reap() {
  trap '' TERM
  command -p sleep "$cicd__limit" &
  cicd__sleep=$!
  trap 'cicd__over && kill -s KILL "$cicd__sleep"' TERM
  if cicd__over; then kill -s KILL "$cicd__sleep"; fi
  while kill -0 "$cicd__sleep"; do wait "$cicd__sleep"; done
  cicd__over || {
    command -p touch -c "$cicd__draft.late" &&
      command -p ln "$cicd__draft.late" "$cicd__directory/stop"
  } || (
    umask 077
    set -C
    echo '{"reason":"timeout","by":"the time limit"}' >"$cicd__directory/stop"
  )
  trap '' TERM
  read -r cicd__line </proc/self/stat
  cicd__own=\${cicd__line%% *}
  [ -n "$cicd__own" ] || cicd__own=$(exec sh -c 'echo "$PPID"')
  cicd__members "$$" "$cicd__job" "$cicd__attempt" "$$ $cicd__own"
  if [ -n "$cicd__found" ]; then
    kill -s TERM $cicd__found
    cicd__left=$cicd__grace
    while [ "$cicd__left" -gt 0 ]; do
      command -p sleep 0.05
      cicd__left=$((cicd__left - 50))
      cicd__members "$$" "$cicd__job" "$cicd__attempt" "$$ $cicd__own"
      [ -n "$cicd__found" ] || [ ! -f "$cicd__draft.ended" ] || break
    done
  fi
  while :; do
    cicd__kill_all "$$" "$cicd__job" "$cicd__attempt" "$$ $cicd__own"
    [ ! -f "$cicd__draft.ended" ] && kill -0 "$$" || return 0
    command -p sleep 0.02
  done
}
cicd__run() {
  cicd__directory=$1 cicd__job=$2 cicd__attempt=$3 cicd__limit=$4 cicd__grace=$5
  cicd__out=$6 cicd__err=$7 cicd__unset=$8
  shift 8
  cicd__draft=$cicd__directory/.result.$$
  cicd__umask=$(umask)
  umask 077
  cicd__identity "$$" || exit 70
  printf '%s\\n%s\\n' "$$" "$cicd__identity" >"$cicd__draft" || exit 70
  if ! command -p ln "$cicd__draft" "$cicd__directory/supervisor"; then
    [ -e "$cicd__directory/supervisor" ] && echo exists
    command -p rm -f "$cicd__draft"
    exit 0
  fi
  command -p rm -f "$cicd__draft"
  echo '#' >"$cicd__draft.said" || exit 70
  echo '{"reason":"timeout","by":"the time limit"}' >"$cicd__draft.late" || exit 70
  : >>"$cicd__out" && : >>"$cicd__err" || exit 70
  exec 2<>"$cicd__draft.said"
  trap '' TERM
  { exec >/dev/null 2>&1; cicd__reap; } &
  cicd__reaper=$!
  trap : TERM
  trap '' PIPE
  echo begun
  exec >/dev/null
  trap - PIPE
  umask "$cicd__umask"
  unset $cicd__unset
  if [ "$cicd__out" = "$cicd__err" ]; then
    (exec "$@") >>"$cicd__out" 2>&1
  else
    (exec "$@") >>"$cicd__out" 2>>"$cicd__err"
  fi
  cicd__status=$?
  umask 077
  exec 2>/dev/null
  # A job may have put FIFOs here, at which the shell would wait for ever.
  command -p rm -rf "$cicd__draft" "$cicd__draft.ended" "$cicd__draft.times"
  : >"$cicd__draft.ended"
  kill -s TERM "$cicd__reaper"
  while kill -0 "$cicd__reaper"; do
    wait "$cicd__reaper"
    cicd__reaped=$?
  done
  [ "$cicd__reaped" = 0 ] || cicd__kill_all "$$" "$cicd__job" "$cicd__attempt" "$$"
  times >"$cicd__draft.times"
  { read -r cicd__line && read -r cicd__times; } <"$cicd__draft.times"
  cicd__line='#'
  [ ! -f "$cicd__draft.said" ] || read -r cicd__line <"$cicd__draft.said"
  if [ "$cicd__status" -gt 128 ] && [ "$cicd__line" != '#' ]; then
    set -- signal killed "$(kill -l "$cicd__status")"
  elif [ "$cicd__status" = 0 ]; then
    set -- success exited 0
  else
    set -- exit-code exited "$cicd__status"
  fi
  cicd__record=$cicd__directory/result.draft
  [ -f "$cicd__record" ] && [ ! -L "$cicd__record" ] || command -p rm -rf "$cicd__record"
  cicd__left=600
  until {
    printf 'record=2\\nservice_result=%s\\nexit_code=%s\\nexit_status=%s\\nrecorded=yes\\n' "$@" &&
      printf 'child_times=%s\\n' "$cicd__times"
  } 1<>"$cicd__record"; do
    # Only without the draft: there may be room soon.
    [ "$cicd__left" -gt 0 ] || exit 74
    cicd__left=$((cicd__left - 1))
    command -p sleep 0.1
  done
  command -p rm -f "$cicd__draft.said" "$cicd__draft.times" "$cicd__draft.ended" \\
    "$cicd__draft.late"
  command -p mv -f "$cicd__record" "$cicd__directory/result"
}
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
cicd__call=$1
shift
case $cicd__call in
  run) cicd__run "$@" ;;
  alive)
    cicd__find_supervisor "$1" || exit
    # The job may have stopped it.
    kill -s CONT "$cicd__main" 2>/dev/null || :
    ;;
  stop)
    cicd__find_supervisor "$1" || exit 0
    kill -s TERM -- "-$cicd__main" 2>/dev/null || :
    kill -s CONT -- "-$cicd__main" 2>/dev/null || :
    ;;
  sweep)
    cicd__main=none
    # The number of a dead supervisor still is its session's; that of another process is forged.
    cicd__find_supervisor "$1" || {
      cicd__read_supervisor "$1" 2>/dev/null && ! cicd__identity "$cicd__main"
    } || cicd__main=none
    cicd__kill_all "$cicd__main" "$2" "$3" "$$"
    ;;
esac
`;
