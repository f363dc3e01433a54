/**
 * The program for `ExecStopPost=`: it records how a unit's main process ended and the unit's usage,
 * also while no program of the suite is running.
 *
 * The record is written over a draft from before the start, which takes no space, and put in place
 * only if the end itself is in it.
 *
 * It runs in the unit's cgroup, alone. After a success it forks once, for `mv`. Where the result of
 * systemd is ambiguous, it asks `systemctl`: a failure may be due to a shutdown, `timeout` to the
 * time limit or the grace period, and 203 may be the job's own exit code.
 *
 * The job's limit on tasks also applies here. If it permits no fork, `systemctl` is skipped and the
 * agent removes the file. A fork that the project's limit refuses ends a shell, hence the trap.
 *
 * @module
 */

/** Arguments of the program. */
interface RecordResultOptions {
  /** A file that holds {@linkcode RECORD_PROGRAM}. */
  readonly recorder: string;
  /** The path of the record. */
  readonly resultFile: string;
  readonly unit: string;
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
result=$1 draft=$1.draft unit=$2 runtime=$3 secrets=$4 spare=2 whole=
if [ -L "$draft" ] || { [ -e "$draft" ] && [ ! -f "$draft" ]; }; then rm -rf -- "$draft"; fi
trap '[ -z "$whole" ] || exec mv -fT -- "$draft" "$result"' EXIT
ask() {
  [ "$spare" -lt 2 ] || XDG_RUNTIME_DIR=$runtime timeout -k 1 1 systemctl --user show "$@"
}
figures() {
  while read -r key value; do
    case " $3 " in *" $key "*) printf '%s_%s=%s\\n' "$2" "$key" "$value" ;; esac
  done <"$1"
}
{
  printf 'record=2\\nservice_result=%s\\nexit_code=%s\\nexit_status=%s\\nrecorded=yes\\n' \\
    "$SERVICE_RESULT" "\${EXIT_CODE-}" "\${EXIT_STATUS-}" && whole=yes
  group=
  while IFS= read -r line; do
    case $line in 0::/?*) group=\${line#0::} ;; esac
  done </proc/self/cgroup
  if [ -n "$group" ]; then
    for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
      [ -r "$top$group/cgroup.procs" ] || continue
      [ -r "$top$group/cpu.stat" ] &&
        figures "$top$group/cpu.stat" cpu 'usage_usec nr_throttled throttled_usec'
      [ -r "$top$group/memory.events" ] &&
        figures "$top$group/memory.events" memory 'oom oom_kill'
      [ -r "$top$group/pids.events" ] &&
        figures "$top$group/pids.events" pids 'max'
      [ -r "$top$group/pids.max" ] && read -r most <"$top$group/pids.max" &&
        read -r value <"$top$group/pids.current" && [ "$most" != max ] &&
        spare=$((most - value))
      [ -r "$top$group/memory.peak" ] && read -r value <"$top$group/memory.peak" &&
        printf 'memory_peak=%s\\n' "$value"
      break
    done
  fi
  read -r value </proc/sys/kernel/random/boot_id && printf 'boot_id=%s\\n' "$value"
  end=$SERVICE_RESULT/\${EXIT_CODE-}/\${EXIT_STATUS-}
  [ "$end" = success/exited/0 ] || ask -p SystemState
  case $end in
    timeout/* | */exited/2[0-4][0-9])
      ask -p ActiveEnterTimestampMonotonic -p ExecMainStartTimestampMonotonic \\
        -p ExecMainExitTimestampMonotonic "$unit"
      ;;
  esac
} 1<>"$draft"
[ -z "$secrets" ] || [ "$spare" -lt 1 ] || rm -f -- "$secrets"
[ -z "$whole" ] || exec mv -fT -- "$draft" "$result"
`;

/** Returns the command line that records a result. */
export function recordResultArgv(
  { recorder, resultFile, unit, runtimeDir, environmentFile = "" }: RecordResultOptions,
): readonly [path: string, ...args: string[]] {
  return ["/bin/sh", recorder, resultFile, unit, runtimeDir, environmentFile];
}

/** Variables that systemd sets for the program; a job that sets them could forge its own end. */
export const RESULT_VARIABLES = ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"] as const;
