/**
 * The program for `ExecStopPost=`: it records how a unit's main process ended
 * and what the unit used, while no program of ours need be alive.
 *
 * It runs in the unit's own cgroup once nothing else is left in it. After a
 * success it forks once, for `mv`. What systemd's words leave open is asked of
 * `systemctl` where it matters: whether a failure came of the machine going
 * down, whether `timeout` was the time limit, whether 203 is the job's own code.
 *
 * The job's limit on tasks holds for it too. Where it leaves none to fork with, nobody is asked and
 * the agent removes the file; a fork that the project's limit refuses ends a shell, hence the trap.
 *
 * @module
 */

/** What {@linkcode recordResultArgv} hands to the program. */
export interface RecordResultOptions {
  /** A file that holds {@linkcode RECORD_PROGRAM}. */
  readonly recorder: string;
  /** Where the record goes. */
  readonly resultFile: string;
  readonly unit: string;
  /** `$XDG_RUNTIME_DIR`, which the job's environment need not have. */
  readonly runtimeDir: string;
  /** A file to remove, or none. */
  readonly environmentFile?: string;
}

/**
 * The program, for a POSIX shell. Paths arrive as arguments, never as text of
 * it. What it could say is thrown away, as it would end up in the job's log.
 *
 * It is a file of its own as systemd 252 cannot read an argument with `$` back
 * from the file of a transient unit, as it does on a daemon-reload.
 */
export const RECORD_PROGRAM = `exec >/dev/null 2>&1
PATH=/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin
umask 077
result=$1 unit=$2 runtime=$3 secrets=$4 spare=2
trap 'exec mv -fT -- "$result.tmp" "$result"' EXIT
ask() {
  [ "$spare" -lt 2 ] || XDG_RUNTIME_DIR=$runtime timeout -k 1 1 systemctl --user show "$@"
}
figures() {
  while read -r key value; do
    case " $3 " in *" $key "*) printf '%s_%s=%s\\n' "$2" "$key" "$value" ;; esac
  done <"$1"
}
{
  printf 'service_result=%s\\nexit_code=%s\\nexit_status=%s\\n' \\
    "$SERVICE_RESULT" "\${EXIT_CODE-}" "\${EXIT_STATUS-}"
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
} >"$result.tmp"
[ -z "$secrets" ] || [ "$spare" -lt 1 ] || rm -f -- "$secrets"
exec mv -fT -- "$result.tmp" "$result"
`;

/** The command line that records a result. */
export function recordResultArgv(
  { recorder, resultFile, unit, runtimeDir, environmentFile = "" }: RecordResultOptions,
): readonly [path: string, ...args: string[]] {
  return ["/bin/sh", recorder, resultFile, unit, runtimeDir, environmentFile];
}

/** Variables systemd hands to the program; a job that sets them would forge its own end. */
export const RESULT_VARIABLES = ["SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"] as const;
