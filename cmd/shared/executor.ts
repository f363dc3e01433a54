/**
 * The executor of a project's jobs: the agent runs them with it, and the runner stops one whose
 * agent does not answer.
 *
 * @module
 */
import { accountReader } from "@lib/core/account.ts";
import type { AgentPart, AgentServices, DescriptorStore } from "@lib/api/feature.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { installationPaths } from "@lib/features/install/program_paths.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { ExecutorRouter } from "@lib/spine/executors/executor_router.ts";
import type { Executor } from "@lib/spine/jobs/executor.ts";
import { FEATURES } from "../features.ts";
import { jobEnvironment } from "./job_environment.ts";
import { hasUserManager } from "./program_log.ts";

/** The services that {@linkcode agentServices} adds. */
type Made = "helperRunner" | "units" | "libDir" | "environmentOf";

/** Makes the services of an agent's features. */
export function agentServices(
  services: Omit<AgentServices, Made>,
  projectDirectory: string,
): AgentServices {
  const { config, env } = services;
  const account = accountReader(env);
  return {
    ...services,
    get libDir() {
      return installationPaths(Deno.execPath(), Deno.mainModule).libDir;
    },
    async units() {
      if (!await usesUnits(config(), env)) return undefined;
      const { connectManager } = await import("@lib/foundations/systemd/connect_manager.ts");
      return (signal) => connectManager(env, signal);
    },
    environmentOf: (attempt) => jobEnvironment({ config, env, account: account() }, attempt),
    async helperRunner() {
      const { runCommand } = await import("@lib/foundations/process/run_command.ts");
      const { marked } = await import("@lib/foundations/process/marked_helpers.ts");
      return marked(runCommand, projectDirectory);
    },
  };
}

/** Loads the features' parts in an agent. */
export async function agentParts(services: AgentServices): Promise<readonly AgentPart[]> {
  const modules = await Promise.all(FEATURES.map(({ agent }) => agent?.()));
  return modules.flatMap((module) => module?.part(services) ?? []);
}

/** Returns the directory of a project. */
export function projectDirectory({ config, project }: Pick<AgentServices, "config" | "project">) {
  return `${config().of(PROGRAM).stateDir}/projects/${project}`;
}

/** The services of an agent that the executor of a project needs. */
type Common = Pick<AgentServices, "project" | "config" | "env" | "clock" | "log">;

/** Makes the executor of a project whose agent does not answer; it owns its features. */
export async function makeStandIn(
  services: Omit<Common, "project">,
  project: ProjectName,
): Promise<Executor> {
  const containerOf = () => Promise.resolve(undefined);
  const own = { ...services, project, umask: 0o022, descriptors: NO_DESCRIPTORS, containerOf };
  const parts = await agentParts(agentServices(own, projectDirectory(own)));
  const executor = await makeExecutor(own, parts);
  const dispose = executor[Symbol.asyncDispose].bind(executor);
  return Object.assign(executor, {
    async [Symbol.asyncDispose]() {
      await dispose();
      for (const part of parts) part[Symbol.dispose]?.();
    },
  });
}

/**
 * Sends jobs with a container to the container engine; all others run as processes.
 *
 * @param services.umask Of the jobs that it starts as processes.
 */
export async function makeExecutor(
  services: ExecutorServices,
  features: readonly AgentPart[],
): Promise<Executor> {
  const made = features.find(({ containers }) => containers !== undefined)?.containers;
  return new ExecutorRouter({
    processes: await makeProcessExecutor(services),
    makeContainers: made ?? (() => {
      throw new CicdError("executor_failed", "Cannot run the job: containers are not built in");
    }),
  });
}

interface ExecutorServices extends Common {
  readonly umask?: number;
}

/** Of a process that nobody starts again. */
const NO_DESCRIPTORS: DescriptorStore = {
  kept: new Map(),
  keepsDescriptors: false,
  keepDescriptor: () => Promise.resolve(),
  dropDescriptor: () => Promise.resolve(),
};

/** Tells if jobs are units of the service manager. */
async function usesUnits(config: Config, env: AgentServices["env"]): Promise<boolean> {
  const { executor } = config.of(PROGRAM);
  return executor === "unit" || (executor === "auto" && await hasUserManager(env));
}

async function makeProcessExecutor(
  { config, env, clock, log, project, umask }: ExecutorServices,
): Promise<Executor> {
  const { runtimeDir } = config().of(PROGRAM);
  if (await usesUnits(config(), env)) {
    const { UnitExecutor } = await import("@lib/spine/executors/unit_executor.ts");
    const { connectManager } = await import("@lib/foundations/systemd/connect_manager.ts");
    return new UnitExecutor({
      project,
      connect: (signal) => connectManager(env, signal),
      runtimeDir: env["XDG_RUNTIME_DIR"] ?? runtimeDir,
      ...(umask === undefined ? {} : { umask }),
      clock,
      log,
    });
  }
  const { DirectExecutor } = await import("@lib/spine/executors/direct_executor.ts");
  return new DirectExecutor({ clock, contain: config().of(PROGRAM).contain });
}
