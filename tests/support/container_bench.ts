/**
 * Container executors against a real engine.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { silentLogger } from "./silent_logger.ts";
import { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import { ContainerExecutor } from "@lib/features/containers/container_executor.ts";
import { CONTAINER_WORKSPACE } from "@lib/features/containers/container_paths.ts";
import type { ContainerRules } from "@lib/spine/spec/container_policy.ts";
import { BUSYBOX, type DockerEngine } from "./docker_engine.ts";
import type { ContractOptions } from "./executor_contract.ts";
import { makeContainer } from "./job_fixtures.ts";

/** A container as closed as can be. */
export const CLOSED = makeContainer({ image: BUSYBOX });

/** The permissions of a project without configuration. */
export const CLOSED_RULES: ContainerRules & { readonly tasks: number } = {
  allow: [],
  mounts: [],
  networks: [],
  images: [],
  network: "bridge",
  tasks: 256,
};

/** The contract suite's options for containers of an engine. */
export function containerContract(
  engine: Pick<DockerEngine, "host">,
  rules: Partial<ContainerRules> = {},
): ContractOptions {
  return {
    name: "ContainerExecutor",
    create: (_project, stateDir) => {
      const engines = new EngineSource(() => ({ host: engine.host, env: {} }));
      const executor = new ContainerExecutor({
        engines,
        stateDir,
        rules: () => ({ ...CLOSED_RULES, ...rules }),
        account: { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 },
        clock: systemClock,
        log: silentLogger,
      });
      const dispose = executor[Symbol.asyncDispose].bind(executor);
      executor[Symbol.asyncDispose] = async () => {
        await dispose();
        engines[Symbol.dispose]();
      };
      return Promise.resolve(executor);
    },
    spec: { container: CLOSED },
    inside: { workspace: CONTAINER_WORKSPACE, variables: ["HOSTNAME", "HOME"] },
    signalsAreCodes: true,
  };
}
