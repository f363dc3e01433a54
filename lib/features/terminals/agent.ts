/**
 * The agent's part of terminals; the first one loads the rest.
 *
 * @module
 */
import { accountReader } from "@lib/core/account.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";
import { ENGINE, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { directoriesIn } from "@lib/foundations/files/records.ts";
import { TERMINALS } from "@lib/features/terminals/keys.ts";
import type { TerminalHost } from "@lib/features/terminals/terminal_host.ts";

/** Time to take over what an earlier agent has left. */
const ADOPT_MS = 20_000;

/** Makes the part. */
export function part(services: AgentServices): AgentPart {
  const { project, config } = services;
  const { runtimeDir } = config().of(PROGRAM);
  const directory = `${runtimeDir}/terminals/${project}`;
  let loading: Promise<TerminalHost> | undefined;
  let loaded: TerminalHost | undefined;
  const host = async () => {
    try {
      return loaded = await (loading ??= openHost(services, directory));
    } catch (error) {
      // The next terminal tries again.
      loading = undefined;
      throw error;
    }
  };
  return {
    isBusy: () => (loaded?.size ?? 0) > 0,
    async adopt(signal) {
      if (directoriesIn(directory).length === 0) return;
      using deadline = withDeadline(signal, ADOPT_MS, "the terminals of an earlier agent");
      try {
        await (await host()).adopt(deadline);
      } catch (error) {
        // Jobs do not wait for terminals.
        services.log.error("Cannot take over the terminals of an earlier agent", { error });
      }
    },
    async onHoldEnded({ jobId }) {
      await loaded?.endOf(jobId);
    },
    async handle(request) {
      const { pathname } = new URL(request.url);
      if (request.method === "GET" && pathname === "/terminals") {
        return Response.json({ terminals: loaded?.list() ?? [] });
      }
      const killed = /^\/terminals\/([^/]+)\/kill$/.exec(pathname)?.[1];
      if (request.method === "POST" && killed !== undefined) {
        const by = new URL(request.url).searchParams.get("by") ?? "";
        const id = await (await host()).kill(decodeURIComponent(killed), by, request.signal);
        return Response.json({ id });
      }
      return undefined;
    },
    async upgrade(request) {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/terminals") return undefined;
      const { parseOrder } = await import("@lib/features/terminals/protocol.ts");
      const order = parseOrder(searchParams.get("order") ?? "");
      if (!config().ofProject(TERMINALS, project).isEnabled) {
        throw new CicdError("forbidden", "Cannot open a terminal: terminals.enabled is off");
      }
      return await (await host()).serve(order, request.signal);
    },
    async [Symbol.asyncDispose]() {
      const last = await loading?.catch(ignore("whoever asked for it was told"));
      await last?.[Symbol.asyncDispose]();
    },
  };
}

async function openHost(
  {
    project,
    config,
    env,
    clock,
    log,
    libDir,
    umask,
    units,
    descriptors,
    environmentOf,
    containerOf,
  }: AgentServices,
  directory: string,
): Promise<TerminalHost> {
  const { TerminalHost } = await import("@lib/features/terminals/terminal_host.ts");
  const { terminalProgram } = await import("@lib/features/terminals/terminal_program.ts");
  const { containerPrograms } = await import("@lib/features/terminals/container_programs.ts");
  const { findEngine } = await import("@lib/foundations/docker/find_engine.ts");
  const { loadBinding } = await import("@lib/foundations/terminal/native.ts");
  const { Libc } = await import("@lib/foundations/systemd/libc.ts");
  const binding = loadBinding(libDir);
  const libc = new Libc();
  const setCloseOnExec = (fd: number) => libc.setCloseOnExec(fd);
  const connect = await units();
  const { stateDir, runtimeDir } = config().of(PROGRAM);
  const makePrograms = async () => {
    if (connect === undefined) {
      const { directPrograms } = await import("@lib/features/terminals/direct_programs.ts");
      return directPrograms({ binding, calls: libc, umask, clock, setCloseOnExec });
    }
    const { unitPrograms } = await import("@lib/features/terminals/unit_programs.ts");
    return unitPrograms({
      project,
      connect,
      binding,
      calls: libc,
      store: descriptors,
      setCloseOnExec,
      runtimeDir: env["XDG_RUNTIME_DIR"] ?? runtimeDir,
      directoryOf: (id) => `${directory}/${id}`,
      makeFifo: (path) => libc.makeFifo(path),
      umask,
      clock,
      log,
    });
  };
  const account = accountReader(env);
  return new TerminalHost({
    project,
    programs: containerPrograms({
      others: await makePrograms(),
      address: () => findEngine({ host: config().of(ENGINE).host, env }),
      clock,
    }),
    rules: () => config().ofProject(TERMINALS, project),
    async programOf({ command, attempt }, signal) {
      if (attempt === undefined) {
        return terminalProgram(command, { account: account(), project, config: config(), env });
      }
      const { jobPlace } = await import("@lib/features/terminals/job_place.ts");
      const usesUnits = connect !== undefined;
      const own = { project, stateDir, account: account(), usesUnits };
      return await jobPlace(attempt, command, { ...own, environmentOf, containerOf, signal });
    },
    directory,
    recordings: `${stateDir}/projects/${project}/recordings`,
    clock,
    log,
  });
}
