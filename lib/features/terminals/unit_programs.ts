/**
 * Terminals in units of their own: `systemd` starts the program on the terminal that the agent has
 * opened, as `systemd-run --pty` does.
 *
 * The unit is in the project's slice; when its main process ends, systemd kills what is left of it.
 * systemd also keeps copies of the terminal's descriptors: while no agent is alive the program goes
 * on, until the system's buffer is full, and the next agent reads on.
 *
 * @module
 */
import type { DescriptorStore } from "@lib/api/feature.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { readIfThere, removeIfThere } from "@lib/foundations/files/records.ts";
import { projectSliceName, terminalUnitName } from "@lib/foundations/systemd/unit_name.ts";
import { type UnitProperty, unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { KEPT_PREFIX } from "@lib/foundations/systemd/listen_fds.ts";
import { type DescriptorCalls, Pty } from "@lib/foundations/terminal/pty.ts";
import type { PtyBinding } from "@lib/foundations/terminal/native.ts";
import { limitProperties } from "@lib/spine/executors/unit_properties.ts";
import { ManagerLink } from "@lib/spine/executors/manager_link.ts";
import { recordResultArgv } from "@lib/spine/executors/record_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";
import { RuntimeFiles } from "@lib/spine/executors/runtime_files.ts";
import { keepSliceLimits } from "@lib/spine/executors/slice_limits.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import { SERVICE_VARIABLES } from "@lib/spine/executors/unit_properties.ts";
import type { Logger } from "@lib/core/logger.ts";
import type {
  ProgramEnd,
  ProgramRequest,
  Programs,
  RunningProgram,
} from "@lib/features/terminals/program.ts";

/** Options for {@linkcode unitPrograms}. */
export interface UnitProgramsOptions {
  readonly project: ProjectName;
  readonly connect: (signal: AbortSignal) => Promise<UnitManager>;
  readonly binding: PtyBinding;
  readonly calls: DescriptorCalls;
  readonly store: DescriptorStore;
  readonly setCloseOnExec: (fd: number) => void;
  /** `$XDG_RUNTIME_DIR`. */
  readonly runtimeDir: string;
  /** Returns the path where the end of a terminal is recorded. */
  readonly resultFile: (id: string) => string;
  readonly umask: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const STOP_MS = 5_000;
/** Between two looks for the cgroup of a unit that is starting, and their number. */
const GROUP_MS = 50;
const GROUP_TRIES = 40;
/** Time for the service manager to take a request to stop. */
const MANAGER_MS = 20_000;

/** Makes the way to start programs in units. */
export function unitPrograms(options: UnitProgramsOptions): Programs {
  const { project, connect, binding, calls, store, clock, log } = options;
  const link = new ManagerLink({
    connect,
    onConnected: (manager, signal) => keepSliceLimits(manager, { project, log }, signal),
    clock,
  });
  const files = new RuntimeFiles(options.runtimeDir);
  const never = new AbortController();

  const forget = async (id: string) => {
    if (!store.keepsDescriptors) return;
    await store.dropDescriptor(nameOf(id, "master"));
    await store.dropDescriptor(nameOf(id, "slave"));
  };

  const running = (id: string, device: string, fds: Descriptors): RunningProgram => ({
    device,
    open: (onData) => new Pty({ ...fds, binding, calls, onData }),
    foreground: () => binding.process(fds.master, device),
    ended: endOf(id),
    async stop() {
      using deadline = withDeadline(never.signal, MANAGER_MS, "the service manager");
      const manager = await link.use(deadline);
      await manager.stopUnit(terminalUnitName(project, id), deadline);
    },
    forget: () => forget(id),
  });

  const endOf = async (id: string): Promise<ProgramEnd> => {
    await link.gone(terminalUnitName(project, id), never.signal);
    const file = options.resultFile(id);
    const text = await readIfThere(file, 64 * 1024);
    await removeIfThere(file);
    return readEnd(text);
  };

  return {
    outlivesAgent: store.keepsDescriptors,
    async start(request, signal) {
      const { id, columns, rows } = request;
      const manager = await link.use(signal);
      const names = await manager.environmentNames(signal);
      const argv = await argvOf(request, { manager, clock }, signal);
      const { master, slave, pty } = binding.open(columns, rows);
      options.setCloseOnExec(master);
      options.setCloseOnExec(slave);
      try {
        if (store.keepsDescriptors) {
          await store.keepDescriptor(nameOf(id, "master"), master);
          await store.keepDescriptor(nameOf(id, "slave"), slave);
        }
        const unit = terminalUnitName(project, id);
        const properties = describe({ ...request, argv }, {
          ...options,
          device: pty,
          names,
          files,
        });
        const answer = await link.start(unit, properties, signal);
        if (answer === "exists") {
          throw new CicdError("state_conflict", `Cannot open terminal "${id}": it is open already`);
        }
      } catch (error) {
        calls.close(master);
        calls.close(slave);
        await running(id, pty, { master, slave }).forget().catch(ignore("the first error counts"));
        throw error;
      }
      return running(id, pty, { master, slave });
    },
    async adopt(id, device, signal) {
      const master = store.kept.get(nameOf(id, "master"));
      const slave = store.kept.get(nameOf(id, "slave"));
      const manager = await link.use(signal);
      const unit = terminalUnitName(project, id);
      if (master === undefined || slave === undefined || device === undefined) {
        // Without its terminal it can do no more.
        await manager.stopUnit(unit, signal);
        await forget(id);
        return undefined;
      }
      return running(id, device, { master, slave });
    },
    async [Symbol.asyncDispose]() {
      never.abort(new DOMException("The agent stops", "AbortError"));
      await link[Symbol.asyncDispose]();
    },
  };
}

/**
 * Returns the command of the unit. To run in the cgroup of another unit, whose limits then hold, the
 * program moves itself there: the service manager starts it in its own.
 */
async function argvOf(
  { argv, unit }: ProgramRequest,
  { manager, clock }: { readonly manager: UnitManager; readonly clock: Clock },
  signal: AbortSignal,
): Promise<ProgramRequest["argv"]> {
  if (unit === undefined) return argv;
  let group = await manager.controlGroup(unit, signal);
  // It may be starting just now.
  for (let tries = 0; group === undefined && tries < GROUP_TRIES; tries++) {
    if (!await manager.unitExists(unit, signal)) break;
    await clock.sleep(GROUP_MS, { signal });
    group = await manager.controlGroup(unit, signal);
  }
  if (group === undefined) {
    throw new CicdError("state_conflict", `Cannot open the terminal: ${unit} does not run`);
  }
  return ["/bin/sh", "-c", ENTER, "sh", group, ...argv];
}

/** The service manager's hierarchy is in the first of these places, as a rule. */
const ENTER = `group=$1
shift
for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  [ -e "$root$group/cgroup.procs" ] || continue
  echo $$ >"$root$group/cgroup.procs" && exec "$@"
done
echo "Cannot enter the cgroup of the job: $group" >&2
exit 1`;

interface Descriptors {
  readonly master: number;
  readonly slave: number;
}

/** Returns the name of a descriptor in the manager's store. */
function nameOf(id: string, side: "master" | "slave"): string {
  return `${KEPT_PREFIX}${id}-${side}`;
}

function readEnd(text: string | undefined): ProgramEnd {
  const lost = { exitCode: null, signal: null, isTimeLimit: false, isLost: true };
  const parsed = parseResultRecord(text ?? "");
  if (parsed.kind !== "record") return lost;
  const { end, serviceResult } = parsed.record;
  const isTimeLimit = serviceResult === "timeout";
  switch (end.kind) {
    case "exited":
      return { exitCode: end.exitCode, signal: null, isTimeLimit, isLost: false };
    case "killed":
      return { exitCode: null, signal: end.signal, isTimeLimit, isLost: false };
    case "none":
      return lost;
  }
}

function describe(
  request: ProgramRequest,
  { project, device, names, files, runtimeDir, umask, resultFile }: UnitProgramsOptions & {
    readonly device: string;
    readonly names: readonly string[];
    readonly files: RuntimeFiles;
  },
): readonly UnitProperty[] {
  const { id, argv, env, workdir, maxMs, limits, unit } = request;
  const unset = [...SERVICE_VARIABLES, ...names].filter((name) => !Object.hasOwn(env, name));
  return [
    unitProperty.description(`Terminal ${id} of ${project}`),
    unitProperty.slice(projectSliceName(project)),
    ...(unit === undefined ? [] : [unitProperty.bindsTo(unit)]),
    unitProperty.type("exec"),
    unitProperty.collectMode("inactive-or-failed"),
    ...unitProperty.terminal(device),
    unitProperty.workingDirectory(`-${workdir}`),
    unitProperty.umask(umask),
    unitProperty.ignoreSigpipe(false),
    unitProperty.environment(env),
    unitProperty.unsetEnvironment([...new Set(unset)]),
    ...limitProperties(limits),
    // A person sees what was killed, and goes on.
    unitProperty.oomPolicy("continue"),
    unitProperty.runtimeMax(maxMs),
    unitProperty.killMode("control-group"),
    unitProperty.sendSighup(true),
    unitProperty.timeoutStop(STOP_MS),
    unitProperty.execStart({ argv }),
    unitProperty.execStopPost({
      argv: recordResultArgv({
        recorder: files.recorder(),
        resultFile: resultFile(id),
        runtimeDir,
      }),
    }),
  ];
}
