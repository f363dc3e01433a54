/**
 * The program for `ExecStopPost=`: it records how a unit's main process ended and the unit's usage,
 * also while no program of the suite is running.
 *
 * The record is written at once, and its last line tells that it is whole. On a full disk it is
 * written over a draft from before the start, which takes no space, and put in place.
 *
 * It runs in the unit's cgroup, beside what outlives the main process and ignores SIGTERM. After a success it consists of built-ins of the shell: another
 * program costs as much as all the rest. Where the result of systemd is ambiguous, it asks
 * `systemctl`: a failure may be due to a shutdown, `timeout` to the time limit or the grace period,
 * and 203 may be the job's own exit code.
 *
 * The job's limit on tasks also applies here. If it permits no fork, `systemctl` is skipped and the
 * agent removes the file. A fork that the project's limit refuses ends a shell, hence the trap on its
 * exit. On a slow machine the questions to `systemctl` may take longer than the time to stop: at the
 * SIGTERM that follows it asks no more.
 *
 * @module
 */

/** Arguments of the program. */
interface RecordResultOptions {
  /** A file that holds {@linkcode RECORD_PROGRAM}. */
  readonly recorder: string;
  /** The path of the record. */
  readonly resultFile: string;
  /** Whose result systemd is asked about where it is ambiguous; absent: it is not asked. */
  readonly unit?: string;
  /** `$XDG_RUNTIME_DIR`, which the job's environment need not have. */
  readonly runtimeDir: string;
  /** A file to remove, or none. */
  readonly environmentFile?: string;
}

/**
 * The program, for a POSIX shell. Paths are arguments, never part of its text. Its output is
 * discarded, as it would end up in the job's log.
 *
 * It is a file, as systemd 252 cannot read an argument with `$` back from the file of a transient
 * unit on a daemon-reload.
 */
export const RECORD_PROGRAM = `exec >/dev/null 2>&1
PATH=/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin
umask 077
result=$1 unit=$2 runtime=$3 secrets=$4 spare=2
text="record=3
service_result=$SERVICE_RESULT
exit_code=\${EXIT_CODE-}
exit_status=\${EXIT_STATUS-}
"
add() {
  text="$text$1
"
}
regular() {
  if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then rm -rf -- "$1"; fi
}
save() {
  trap - EXIT
  trap '' TERM
  add recorded=yes
  regular "$result"
  printf %s "$text" >"$result" && exit
  regular "$result.draft"
  printf %s "$text" 1<>"$result.draft" && exec mv -fT -- "$result.draft" "$result"
  exec rm -f -- "$result"
}
trap save EXIT
trap 'spare=0' TERM
ask() {
  [ -z "$unit" ] || [ "$spare" -lt 2 ] ||
    add "$(XDG_RUNTIME_DIR=$runtime timeout -k 1 1 systemctl --user show "$@")"
}
figures() {
  while read -r key value; do
    case " $3 " in *" $key "*) add "$2_$key=$value" ;; esac
  done <"$1"
}
end=$SERVICE_RESULT/\${EXIT_CODE-}/\${EXIT_STATUS-}
while IFS= read -r line; do
  case $line in 0::/?*) group=\${line#0::} && break ;; esac
done </proc/self/cgroup
for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
  [ -n "$group" ] && [ -r "$top$group/cgroup.procs" ] || continue
  figures "$top$group/cpu.stat" cpu 'usage_usec nr_throttled throttled_usec'
  figures "$top$group/memory.events" memory oom_kill
  read -r value <"$top$group/memory.peak" && add "memory_peak=$value"
  [ "$end$secrets" != success/exited/0 ] || break
  figures "$top$group/pids.events" pids max
  read -r most <"$top$group/pids.max" && read -r value <"$top$group/pids.current" &&
    [ "$most" != max ] && spare=$((most - value))
  break
done
[ -z "$secrets" ] || [ "$spare" -lt 1 ] || rm -f -- "$secrets"
[ "$end" = success/exited/0 ] || ask -p SystemState
case $end in
  timeout/* | */exited/2[0-4][0-9])
    ask -p ActiveEnterTimestampMonotonic -p ExecMainStartTimestampMonotonic \\
      -p ExecMainExitTimestampMonotonic "$unit"
    ;;
esac
`;

/** Returns the command line that records a result. */
export function recordResultArgv(
  { recorder, resultFile, unit = "", runtimeDir, environmentFile = "" }: RecordResultOptions,
): readonly [path: string, ...args: string[]] {
  return ["/bin/sh", recorder, resultFile, unit, runtimeDir, environmentFile];
}

/** Variables that systemd sets for the program; a job that sets them could forge its own end. */
export const RESULT_VARIABLES = ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"] as const;
