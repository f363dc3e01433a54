/**
 * The executor of a project's jobs: the agent runs them with it, and the runner stops one whose
 * agent does not answer.
 *
 * @module
 */
import type { AgentPart, AgentServices } from "@lib/api/feature.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { ExecutorRouter } from "@lib/spine/executors/executor_router.ts";
import type { Executor } from "@lib/spine/jobs/executor.ts";
import { FEATURES } from "../features.ts";
import { hasUserManager } from "./program_log.ts";

/** Makes the services of an agent's features. */
export function agentServices(
  services: Omit<AgentServices, "helperRunner">,
  projectDirectory: string,
): AgentServices {
  return {
    ...services,
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

/** Makes the executor of a project whose agent does not answer; it owns its features. */
export async function makeStandIn(
  services: Omit<AgentServices, "helperRunner" | "project">,
  project: ProjectName,
): Promise<Executor> {
  const own = { ...services, project };
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

interface ExecutorServices extends Omit<AgentServices, "helperRunner"> {
  readonly umask?: number;
}

async function makeProcessExecutor(
  { config, env, clock, log, project, umask }: ExecutorServices,
): Promise<Executor> {
  const { executor, runtimeDir } = config().of(PROGRAM);
  if (executor === "unit" || (executor === "auto" && await hasUserManager(env))) {
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
