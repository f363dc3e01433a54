/**
 * The supervisor of an attempt on machines without a service manager.
 *
 * One POSIX shell per attempt, in a session of its own. It outlives the agent, enforces the time
 * limit and the grace period, ends all processes of the attempt, and writes the same record as
 * `ExecStopPost=`. A second process of it, the timer, waits for the time limit and for requests to
 * stop: SIGTERM asks it to look for `stop`, SIGHUP tells it that the job has ended.
 *
 * The processes of an attempt are those in its PID namespace, if it has one. Supervisor and timer
 * are outside it, so the job can neither see nor signal them, and what it started ends with the
 * first process of the namespace, which is not the job, as such a process ignores SIGTERM.
 *
 * Without a namespace, they are those in the sessions of the supervisor and of the job, or with its
 * `CICD_JOB_ID` and `CICD_ATTEMPT`. A process that leaves the session *and* drops these variables
 * escapes: only a namespace or a cgroup would hold it. Without `/proc`, they are those in the
 * supervisor's process group and their descendants.
 *
 * No loop is without an end. If a process that escaped holds the supervisor's pipe, or one that no
 * signal ends is left, the timer kills the supervisor some ten seconds after all others, and the
 * attempt is lost. If the job killed the timer, the agent does so, later.
 *
 * Whatever it writes after the start, it writes over files from before it, or in few bytes: a full
 * disk keeps no end from being recorded.
 *
 * | call | effect |
 * |---|---|
 * | `run WAY UNSHARE NSENTER SETSID DIRECTORY JOB ATTEMPT LIMIT GRACE OUT ERR UNSET ARGV…` | runs the job; prints `begun` or `exists` |
 * | `sweep MAIN JOB ATTEMPT` | kills the processes of a dead supervisor, whose number is MAIN or `none` |
 *
 * WAY is `marker`, or the namespaces of the job: `pid`, or `user` for a PID namespace in a user
 * namespace. Without SETSID, a program that can wait, the job stays in the supervisor's session.
 *
 * @module
 */

/**
 * The program. It runs with the job's variables, so its own have names no job uses, and its helpers
 * are found on the system's path, not the job's.
 *
 * A shell's exit status does not distinguish an exit with 143 from a death by SIGTERM. `setsid` says
 * so on stderr, which the job does not share, and exits with the number of the signal; without it,
 * the shell's own message shows it, which there is for all signals but SIGINT and SIGPIPE.
 */
export const SUPERVISOR_PROGRAM = `
cicd__identity() {
  read -r cicd__line <"/proc/$1/stat" || return 1
  set -- \${cicd__line##*) }
  shift 19 && cicd__identity=$1
} 2>/dev/null
cicd__now() {
  read -r cicd__now cicd__line </proc/uptime
  cicd__now=$((\${cicd__now%.*} * 100 + 1\${cicd__now#*.} - 100))
}
cicd__members() {
  cicd__sessions=" $cicd__ours " cicd__found=
  for cicd__file in $(command -p grep -lazxF "CICD_JOB_ID=$cicd__job" /proc/[0-9]*/environ); do
    command -p grep -qazxF "CICD_ATTEMPT=$cicd__attempt" "$cicd__file" || continue
    read -r cicd__line <"\${cicd__file%environ}stat" || continue
    set -- \${cicd__line##*) }
    cicd__add "\${cicd__line%% *}" "$2" || continue
    case $4 in 0 | 1) ;; *) cicd__sessions="$cicd__sessions$4 " ;; esac
  done
  for cicd__file in /proc/[0-9]*/stat; do
    read -r cicd__line <"$cicd__file" || continue
    set -- \${cicd__line##*) }
    case $cicd__sessions in
      *" $4 "*) [ "$1" = Z ] || cicd__add "\${cicd__line%% *}" "$2" ;;
    esac
  done
  [ -n "$cicd__found" ]
} 2>/dev/null
# The supervisor, its timer and what runs the job for it are no members.
cicd__add() {
  [ "$1" != "$$" ] && [ "$2" != "$$" ] || return 1
  case "$cicd__found " in
    *" $1 "*) ;;
    *) kill -0 "$1" && cicd__found="$cicd__found $1" ;;
  esac
}
# A process that the kernel does not end is left.
cicd__kill_all() {
  cicd__left=200
  while [ "$cicd__left" -gt 0 ] && cicd__members; do
    kill -s KILL $cicd__found
    cicd__left=$((cicd__left - 1))
    command -p sleep 0.02
  done
} 2>/dev/null
# TERM once to all members, and what is left at a moment of the clock is killed.
cicd__end_members() {
  kill -s TERM $cicd__found
  kill -s CONT $cicd__found
  while cicd__now && [ "$cicd__now" -lt "$cicd__until" ] && cicd__members; do
    command -p sleep 0.05
  done
  cicd__kill_all
} 2>/dev/null
# Cheaper than a look at all processes, of which there mostly are none.
cicd__may_be_left() {
  [ -n "$cicd__leader" ] && ! kill -s 0 -- "-$cicd__leader" || return 0
  for cicd__file in $(command -p grep -lazxF "CICD_JOB_ID=$cicd__job" /proc/[0-9]*/environ); do
    cicd__file=\${cicd__file%/environ}
    cicd__file=\${cicd__file#/proc/}
    [ "$cicd__file" = "$$" ] || ! kill -0 "$cicd__file" || return 0
  done
  return 1
} 2>/dev/null
cicd__is_over() { [ -n "$cicd__ended" ] || [ -e "$cicd__directory/stop" ]; }
cicd__has_ended() { [ -n "$cicd__ended" ]; }
cicd__rouse() { [ -z "$cicd__sleep" ] || kill -s KILL "$cicd__sleep"; }
# A signal with a trap ends a wait early. The number of what has ended may be another's.
cicd__reap() {
  until
    wait "$1"
    case $? in 129 | 143) ! kill -0 "$1" ;; esac
  do :; done
}
cicd__doze() {
  # It ignores SIGTERM, as it may be in a group with the job.
  command -p sleep "$2" &
  cicd__sleep=$!
  [ "$1" = cicd__has_ended ] || trap 'cicd__is_over && cicd__rouse' TERM
  ! "$1" || cicd__rouse
  cicd__reap "$cicd__sleep"
  cicd__sleep=
}
# The children of the supervisor are the timer and what runs the job.
cicd__find_inner() {
  cicd__chain= cicd__inner=
  read -r cicd__line <"/proc/$$/task/$$/children"
  for cicd__pid in $cicd__line; do
    [ "$cicd__pid" = "$cicd__own" ] || cicd__chain=$cicd__pid
  done
  cicd__file=/proc/$cicd__chain/task/$cicd__chain/children
  [ -z "$cicd__chain" ] || read -r cicd__inner cicd__line <"$cicd__file"
  [ -n "$cicd__inner" ]
}
cicd__expire() {
  cicd__late='{"reason":"timeout","by":"the time limit"}'
  cicd__draft=$cicd__directory/stop.draft
  [ -f "$cicd__draft" ] && [ ! -L "$cicd__draft" ] || command -p rm -rf "$cicd__draft"
  umask 077
  printf '%-4095s\\n' "$cicd__late" 1<>"$cicd__draft" &&
    command -p ln "$cicd__draft" "$cicd__directory/stop" ||
    [ -e "$cicd__directory/stop" ] || echo "$cicd__late" 1<>"$cicd__directory/stop"
}
cicd__timer() {
  cicd__sleep= cicd__ended=
  trap 'cicd__ended=1; cicd__rouse' HUP
  cicd__doze cicd__is_over "$cicd__limit"
  ! cicd__has_ended || return
  trap '' TERM
  [ -e "$cicd__directory/stop" ] || cicd__expire
  read -r cicd__line </proc/self/stat
  cicd__own=\${cicd__line%% *}
  cicd__now
  cicd__until=$((cicd__now + cicd__grace / 10))
  cicd__ours=$$ cicd__chain= cicd__inner=
  # The job may not have begun, and without it nothing is asked to end.
  until cicd__find_job || cicd__has_ended || cicd__is_late; do command -p sleep 0.02; done
  ! cicd__has_ended || return
  if [ "$cicd__way" = marker ]; then cicd__end_members; else cicd__end_namespace; fi
  # Rounds and not the clock, which may run while the timer is stopped.
  cicd__left=40
  while [ "$cicd__left" -gt 0 ]; do
    kill -s CONT "$$" $cicd__chain
    if ! cicd__find_job; then :
    elif [ "$cicd__way" = marker ]; then kill -s KILL $cicd__found
    else kill -s KILL "$cicd__inner"; fi
    cicd__doze cicd__has_ended 0.2
    ! cicd__has_ended && kill -0 "$$" || return
    cicd__left=$((cicd__left - 1))
  done
  # A process that escaped can hold the pipe on which the supervisor waits, for ever.
  kill -s KILL "$$"
}
cicd__is_late() { cicd__now && [ "$cicd__now" -ge "$cicd__until" ]; }
cicd__find_job() {
  # The list of children may leave one out.
  if [ "$cicd__way" != marker ]; then
    cicd__find_inner
    return
  fi
  [ -n "$cicd__inner" ] || ! cicd__find_inner || [ -z "$cicd__session" ] ||
    cicd__ours="$$ $cicd__inner"
  cicd__members
}
cicd__end_namespace() {
  [ "$cicd__grace" != 0 ] && [ -n "$cicd__inner" ] || return
  set -- /bin/sh -c "$cicd__term_program"
  [ "$cicd__way" = pid ] || set -- --user --preserve-credentials "$@"
  "$cicd__nsenter" --target "$cicd__inner" --pid --mount "$@" &
  cicd__ms=$((cicd__grace % 1000 + 1000))
  cicd__doze cicd__has_ended "$((cicd__grace / 1000)).\${cicd__ms#1}"
}
# The first two processes of a namespace are ours. Its own /proc may not be there yet.
cicd__term_program='cicd__found=
until [ -n "$cicd__found" ]; do
  read -r cicd__line </proc/self/stat
  [ "\${cicd__line%% *}" != "$$" ] || for cicd__pid in /proc/[0-9]*; do
    cicd__pid=\${cicd__pid#/proc/}
    case $cicd__pid in 1 | 2 | $$) ;; *) cicd__found="$cicd__found $cicd__pid" ;; esac
  done
  [ -n "$cicd__found" ] || command -p sleep 0.02
done
kill -s TERM $cicd__found
kill -s CONT $cicd__found'
cicd__job_program='unset $1
shift
echo "$$"
exec "$@" >&3 2>&4 3>&- 4>&-'
cicd__init_program='cicd__grace=$1 cicd__session=$2
shift 2
"$cicd__session" -f -w "$@"
echo "=$?"
cicd__now() {
  read -r cicd__now cicd__line </proc/uptime
  cicd__now=$((\${cicd__now%.*} * 100 + 1\${cicd__now#*.} - 100))
}
if kill -s 0 -- -1; then
  kill -s TERM -- -1
  kill -s CONT -- -1
  cicd__now
  cicd__until=$((cicd__now + cicd__grace / 10))
  while kill -s 0 -- -1 && cicd__now && [ "$cicd__now" -lt "$cicd__until" ]; do command -p sleep 0.02; done
fi 2>/dev/null
exit 0'
cicd__run() {
  cicd__way=$1 cicd__unshare=$2 cicd__nsenter=$3 cicd__session=$4
  cicd__directory=$5 cicd__job=$6 cicd__attempt=$7 cicd__limit=$8 cicd__grace=$9
  shift 9
  cicd__out=$1 cicd__err=$2 cicd__unset=$3
  shift 3
  cicd__claim=$cicd__directory/.claim.$$
  cicd__umask=$(umask)
  umask 077
  cicd__identity "$$" || exit 70
  trap '' TERM
  { exec >/dev/null; cicd__timer; } &
  cicd__timer=$!
  trap : TERM
  printf '%s\\n%s\\n' "$$" "$cicd__identity" >"$cicd__claim" &&
    command -p ln "$cicd__claim" "$cicd__directory/supervisor" || {
    kill -s HUP "$cicd__timer"
    [ -e "$cicd__directory/supervisor" ] && echo exists
    exit 0
  }
  # A failed redirection of : would end the shell.
  { true >>"$cicd__out" && true >>"$cicd__err"; } || {
    kill -s HUP "$cicd__timer"
    exit 70
  }
  exec 3>>"$cicd__out"
  if [ "$cicd__out" = "$cicd__err" ]; then exec 4>&3; else exec 4>>"$cicd__err"; fi
  trap '' PIPE
  echo begun
  exec >/dev/null
  trap - PIPE
  cicd__said=$(
    umask "$cicd__umask"
    exec 2>&1
    if [ -z "$cicd__session" ]; then
      # The job may signal its group.
      trap : TERM
      (unset $cicd__unset && exec "$@") >&3 2>&4 3>&- 4>&-
      cicd__status=$?
      exit "$cicd__status"
    fi
    set -- /bin/sh -c "$cicd__job_program" job "$cicd__unset" "$@"
    [ "$cicd__way" != marker ] || exec "$cicd__session" -f -w "$@"
    set -- /bin/sh -c "$cicd__init_program" init "$cicd__grace" "$cicd__session" "$@"
    set -- --pid --fork --kill-child --mount-proc "$@"
    [ "$cicd__way" = pid ] || set -- --user --map-current-user "$@"
    exec "$cicd__unshare" "$@"
  )
  cicd__status=$?
  exec 3>&- 4>&-
  kill -s HUP "$cicd__timer"
  cicd__reap "$cicd__timer"
  cicd__leader=
  if [ -n "$cicd__session" ]; then
    cicd__leader=\${cicd__said%%
*}
    cicd__said=\${cicd__said#"$cicd__leader"}
  fi
  case $cicd__leader in 0* | 1 | *[!0-9]*) cicd__leader= ;; esac
  if [ "$cicd__way" = marker ]; then
    if cicd__may_be_left; then
      cicd__ours="$$ $cicd__leader"
      cicd__now
      cicd__until=$((cicd__now + cicd__grace / 10))
      ! cicd__members || cicd__end_members
    fi
  elif [ "$cicd__said" != "\${cicd__said%
=*}" ]; then
    cicd__status=\${cicd__said##*
=}
    # What follows says unshare, of whose child the time limit or a cancel was the end.
    cicd__status=\${cicd__status%%
*}
    cicd__said=\${cicd__said%
=*}
  elif [ -n "$cicd__leader" ] || [ -e "$cicd__directory/stop" ]; then
    # The namespace was killed. Some releases of unshare exit with 1 then.
    cicd__said=killed cicd__status=9
  else
    cicd__status=none
  fi
  if [ "$cicd__status" = none ]; then
    set -- no-namespace '' ''
  elif [ -n "$cicd__said" ] && [ -n "$cicd__session" ]; then
    set -- signal killed "$(kill -l "$((cicd__status & 127))")"
    [ "$cicd__status" -le 128 ] || [ "$3" = KILL ] || set -- core-dump dumped "$3"
  elif [ -n "$cicd__said" ] && [ "$cicd__status" -gt 128 ]; then
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
      printf 'contained=%s\\nown_times=' "$cicd__way" && times
  } 1<>"$cicd__record"; do
    # Only without the draft: there may be room soon.
    [ "$cicd__left" -gt 0 ] || exit 74
    cicd__left=$((cicd__left - 1))
    command -p sleep 0.1
  done
  set -- -f "$cicd__record" "$cicd__directory/result"
  [ ! -x /bin/mv ] || exec /bin/mv "$@"
  command -p mv "$@"
}
# macOS: ps tells of processes, but not of their variables, and there is no setsid. The members are
# those in the supervisor's group, and their descendants.
[ -r /proc/self/stat ] || {
  cicd__identity() {
    cicd__identity=$(LC_ALL=C TZ=UTC0 command -p ps -o lstart= -p "$1" | command -p tr -dc 0-9)
    [ -n "$cicd__identity" ]
  } 2>/dev/null
  cicd__now() { cicd__now=$(($(command -p date +%s) * 100)); }
  cicd__members() {
    set -- $(command -p ps -axo pid=,ppid=,pgid=,stat= | command -p awk -v main="$$" -v ours=" $cicd__ours " '
      { parent[$1] = $2; group[$1] = $3; state[$1] = $4 }
      function belongs(pid, levels) {
        if (pid == main || parent[pid] == main || levels > 99) return 0
        return index(ours, " " group[pid] " ") || parent[pid] > 1 && belongs(parent[pid], levels + 1)
      }
      END { for (pid in parent) if (state[pid] !~ /^Z/ && belongs(pid, 0)) print pid }')
    cicd__found=
    # What looked is gone.
    for cicd__pid; do
      ! kill -0 "$cicd__pid" || cicd__found="$cicd__found $cicd__pid"
    done
    [ -n "$cicd__found" ]
  } 2>/dev/null
  cicd__find_inner() { return 1; }
}
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
cicd__call=$1
shift
case $cicd__call in
  run) cicd__run "$@" ;;
  sweep)
    cicd__ours=$1 cicd__job=$2 cicd__attempt=$3
    cicd__kill_all
    ;;
esac
`;
