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
import { leadsToSomething, readIfThere, removeIfThere } from "@lib/foundations/files/records.ts";
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

import { SpareProgram } from "@lib/features/terminals/spare_program.ts";

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
  /** Returns the directory of a terminal. */
  readonly directoryOf: (id: string) => string;
  /** Makes a named pipe. */
  readonly makeFifo: (path: string) => void;
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

  const keep = async (id: string, { master, slave }: Descriptors) => {
    if (!store.keepsDescriptors) return;
    await store.keepDescriptor(nameOf(id, "master"), master);
    await store.keepDescriptor(nameOf(id, "slave"), slave);
  };

  const running = (
    id: string,
    device: string,
    fds: Descriptors,
    ended = endOf(id),
  ): RunningProgram => ({
    device,
    open: (onData) => new Pty({ ...fds, binding, calls, onData }),
    foreground: () => binding.process(fds.master, device),
    ended,
    async stop() {
      using deadline = withDeadline(never.signal, MANAGER_MS, "the service manager");
      const manager = await link.use(deadline);
      await manager.stopUnit(terminalUnitName(project, id), deadline);
    },
    forget: () => forget(id),
  });

  const endOf = async (id: string): Promise<ProgramEnd> => {
    await link.gone(terminalUnitName(project, id), never.signal);
    const file = resultFile(options.directoryOf(id));
    const text = await readIfThere(file, 64 * 1024);
    await removeIfThere(file);
    return readEnd(text);
  };

  /** Opens a terminal and starts a unit on it. */
  const launch = async (
    request: ProgramRequest,
    { description, keeps }: { readonly description: string; readonly keeps: boolean },
    signal: AbortSignal,
  ) => {
    const { id, columns, rows } = request;
    const manager = await link.use(signal);
    const [names, argv] = await Promise.all([
      manager.environmentNames(signal),
      argvOf(request, { manager, clock }, signal),
    ]);
    const { master, slave, pty } = binding.open(columns, rows);
    options.setCloseOnExec(master);
    options.setCloseOnExec(slave);
    try {
      if (keeps) await keep(id, { master, slave });
      const unit = terminalUnitName(project, id);
      const properties = describe({ ...request, argv }, {
        ...options,
        description,
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
      if (keeps) await forget(id).catch(ignore("the first error counts"));
      throw error;
    }
    const ended = endOf(id);
    return {
      fds: { master, slave },
      device: pty,
      ended,
      gone: ended,
      close() {
        calls.close(master);
        calls.close(slave);
      },
    };
  };

  const spare = new SpareProgram({
    makePipe(id) {
      Deno.mkdirSync(options.directoryOf(id), { recursive: true, mode: 0o700 });
      const path = pipeFile(options.directoryOf(id));
      options.makeFifo(path);
      // Open for both, it waits for no reader, and its text for the shell.
      const file = Deno.openSync(path, { read: true, write: true });
      return {
        path,
        pipe: {
          write: (text) => void file.writeSync(new TextEncoder().encode(text)),
          close: () => file.close(),
        },
      };
    },
    async start(request, signal) {
      using deadline = withDeadline(signal, MANAGER_MS, "the service manager");
      const description = `Spare terminal of ${project}`;
      return await launch(request, { description, keeps: false }, deadline);
    },
    remove: (id) => removeTreeSync(options.directoryOf(id)),
    onFailure: (error) => log.warning("Cannot prepare the next terminal", { error }),
    clock,
  });

  const rename = async (id: string) => {
    using deadline = withDeadline(never.signal, MANAGER_MS, "the service manager");
    const manager = await link.use(deadline);
    const description = unitProperty.description(describeTerminal(id, project));
    await manager.setRuntimeProperties(terminalUnitName(project, id), [description], deadline);
  };

  /** Lets the waiting unit become a terminal. */
  const takeSpare = async (request: ProgramRequest, signal: AbortSignal) => {
    const { id, argv, columns, rows } = request;
    const taken = await spare.take(id, signal);
    if (taken === undefined) return undefined;
    const { unit: { fds, device, ended, close }, run } = taken;
    try {
      binding.resize(fds.master, columns, rows);
      run(argv);
      await keep(id, fds);
    } catch (error) {
      close();
      await forget(id).catch(ignore("the first error counts"));
      throw error;
    }
    // Nobody waits for that.
    void rename(id).catch(ignore("it has ended already, or keeps the name that it had"));
    return running(id, device, fds, ended);
  };

  return {
    outlivesAgent: store.keepsDescriptors,
    reserve: (program) => spare.reserve(program),
    isSpare: (id) => leadsToSomething(pipeFile(options.directoryOf(id))),
    async start(request, signal) {
      const { id } = request;
      const taken = await takeSpare(request, signal);
      if (taken !== undefined) {
        spare.prepare(request);
        return taken;
      }
      const description = describeTerminal(id, project);
      const { device, fds, ended } = await launch(request, { description, keeps: true }, signal);
      spare.prepare(request);
      return running(id, device, fds, ended);
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
      spare[Symbol.dispose]();
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

function describeTerminal(id: string, project: ProjectName): string {
  return `Terminal ${id} of ${project}`;
}

/** Where the end of a terminal is recorded. */
function resultFile(directory: string): string {
  return `${directory}/result`;
}

/** Where a unit that waits finds its command. */
function pipeFile(directory: string): string {
  return `${directory}/command`;
}

function removeTreeSync(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

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
  { project, description, device, names, files, runtimeDir, umask, directoryOf }:
    & UnitProgramsOptions
    & {
      readonly description: string;
      readonly device: string;
      readonly names: readonly string[];
      readonly files: RuntimeFiles;
    },
): readonly UnitProperty[] {
  const { id, argv, env, workdir, maxMs, limits, unit } = request;
  const unset = [...SERVICE_VARIABLES, ...names].filter((name) => !Object.hasOwn(env, name));
  return [
    unitProperty.description(description),
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
        resultFile: resultFile(directoryOf(id)),
        runtimeDir,
      }),
    }),
  ];
}
