/**
 * Asks the container engine what it is, for `doctor`.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import {
  type EngineAddress,
  findEngine,
  formatEngineAddress,
} from "@lib/foundations/docker/find_engine.ts";
import { pingEngine } from "@lib/foundations/docker/ping.ts";
import type { EngineAnswer } from "@lib/features/install/facts.ts";

/** How long an engine may take to answer. */
const ASK_MS = 10_000;

/** Where to look. */
export interface AskEngineOptions {
  /** `containers.host` of the configuration. */
  readonly host: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Looks for the engine as the executor does, and asks it.
 *
 * @throws The signal's reason if the signal aborts.
 */
export async function askEngine({ host, env, signal }: AskEngineOptions): Promise<EngineAnswer> {
  const isNamed = [host, env["DOCKER_HOST"], env["CONTAINER_HOST"]].some((name) => Boolean(name));
  const silent = (error: unknown): EngineAnswer => {
    signal.throwIfAborted();
    if (!(error instanceof CicdError)) throw error;
    return { kind: "silent", why: messageOf(error), isNamed };
  };
  let address: EngineAddress;
  try {
    address = findEngine({ host, env });
  } catch (error) {
    return isNamed ? silent(error) : { kind: "none" };
  }
  using deadline = withDeadline(signal, ASK_MS, "the container engine");
  try {
    return await ask(address, deadline);
  } catch (error) {
    return silent(error);
  }
}

async function ask(address: EngineAddress, signal: AbortSignal): Promise<EngineAnswer> {
  // First the cheap question: the engine's client is loaded only for one that answers.
  await pingEngine(address, { signal });
  using engine = await Engine.open(address);
  const { podman, version, rootless, cgroupVersion, storageDriver, enforces } = await engine.facts(
    signal,
  );
  return {
    kind: "answers",
    address: formatEngineAddress(address),
    podman,
    version,
    rootless,
    cgroupVersion,
    storageDriver,
    enforces,
  };
}
