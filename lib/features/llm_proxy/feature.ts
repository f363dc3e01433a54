/**
 * A proxy for language models that counts what jobs and programs use.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { LLM_PROXY } from "@lib/features/llm_proxy/keys.ts";

/** The proxy for language models, and their usage. */
export const llmProxyFeature: Feature = {
  name: "llm_proxy",
  sections: [LLM_PROXY],
  runner: () => import("@lib/features/llm_proxy/runner.ts"),
  commands: () => import("@lib/features/llm_proxy/commands.ts"),
};
