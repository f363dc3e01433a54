/**
 * The proxy for language models in the runner.
 *
 * Off unless it is configured: then nothing of it but its tables is loaded.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import { type Listening, listeningOf, LLM_PROXY } from "@lib/features/llm_proxy/keys.ts";
import type { LlmProxy } from "@lib/features/llm_proxy/llm_proxy.ts";
import { usageRoutes } from "@lib/features/llm_proxy/routes.ts";
import type { UsageStore } from "@lib/features/llm_proxy/usage_store.ts";

export { USAGE_MIGRATIONS as migrations } from "@lib/features/llm_proxy/usage_schema.ts";

/** Time that a runner which stops gives to answers under way. */
const LAST_ANSWERS_MS = 20_000;

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const { config, env, log, tasks, clock } = services;
  let opened: Promise<UsageStore> | undefined;
  const openStore = async () => {
    const { UsageStore } = await import("@lib/features/llm_proxy/usage_store.ts");
    return new UsageStore(services.db, () => config().of(LLM_PROXY).keepMs);
  };
  const store = () => opened ??= openStore();
  let proxy: LlmProxy | undefined;
  let asked: Listening = {};
  return {
    routes: usageRoutes({
      store,
      clock,
      proxy: () => {
        const { address = null, problem = null } = asked;
        const off = address === null ? "off" as const : "starting" as const;
        return { state: off, address, problem, ...proxy?.state };
      },
    }),
    usageSource: store,
    start() {
      asked = listeningOf(config(), env);
      const { address, problem } = asked;
      if (problem !== undefined) log.warning("The proxy for language models is off", { problem });
      if (address === undefined) return;
      tasks.spawn("llm proxy", async (signal) => {
        const { LlmProxy } = await import("@lib/features/llm_proxy/llm_proxy.ts");
        proxy = new LlmProxy({
          address,
          settings: () => config().of(LLM_PROXY),
          store: await store(),
          clock,
          log,
          stopping: services.stopping,
        });
        await proxy.serve(signal);
      });
    },
    reconfigured: () => proxy?.reconfigured(),
    metrics: () => proxy?.metrics() ?? [],
    // Nobody would start the runner for a client of the proxy.
    hasWork: () => proxy?.isWanted === true,
    async answered(signal) {
      if (proxy === undefined) return false;
      using deadline = withDeadline(signal, LAST_ANSWERS_MS, "answers of language models");
      await proxy.drained(deadline).catch(
        ignore("the rest is cut off, as at any server that ends"),
      );
      return false;
    },
    [Symbol.dispose]: () => proxy?.[Symbol.dispose](),
  };
}
