/**
 * Gets a job's image before the job begins.
 *
 * @module
 */
import { retry } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { recordImageUse } from "@lib/features/containers/image_use.ts";
import { PullProgress } from "@lib/features/containers/pull_progress.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type { ImageInfo, RegistryLogin } from "@lib/foundations/docker/engine_types.ts";
import { parseImageReference, registryOf } from "@lib/foundations/docker/image_reference.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import type { ContainerSpec } from "@lib/spine/spec/job_spec.ts";
import { type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";

/** Options for {@linkcode prepareImage}. */
export interface ImageStepOptions {
  readonly engines: {
    engine(): Promise<Pick<Engine, "inspectImage" | "pullImage">>;
    forget(): void;
  };
  readonly stateDir: string;
  readonly rules: () => ContainerRules;
  readonly clock: Clock;
}

/**
 * Gets the image of a job that runs in a container.
 *
 * @returns What the engine says of it.
 * @throws {StepFailure} `image_unavailable`.
 */
export async function prepareImage(
  context: SetupContext,
  options: ImageStepOptions,
  signal: AbortSignal,
): Promise<ImageInfo | undefined> {
  const { container } = context.spec;
  if (container === undefined) return undefined;
  const forbidden = containerIssues(container, options.rules()).find(({ path }) =>
    path === "image"
  );
  if (forbidden !== undefined) throw unavailable(container, forbidden.message);
  try {
    return await obtain(context, container, options, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StepFailure || !(error instanceof CicdError)) throw error;
    if (error.code === "engine_unavailable") options.engines.forget();
    throw unavailable(container, messageOf(error), error);
  }
}

async function obtain(
  { spec, secrets, say }: SetupContext,
  container: ContainerSpec,
  { engines, stateDir, clock }: ImageStepOptions,
  signal: AbortSignal,
): Promise<ImageInfo> {
  const { image, pull } = container;
  const engine = await engines.engine();
  const before = await engine.inspectImage(image, signal);
  const fetch = pull === "always" || (pull === "missing" && before === undefined);
  if (fetch) {
    const login = loginOf(container, secrets);
    say(`Pulling image ${image}`);
    const pullOnce = async () => {
      const progress = new PullProgress(say, clock);
      await engine.pullImage(image, { login, onEvent: (event) => progress.take(event) }, signal);
    };
    await retry(pullOnce, { passing: passingFailure, say, clock, signal });
  }
  const after = fetch ? await engine.inspectImage(image, signal) : before;
  if (after === undefined) {
    throw unavailable(
      container,
      fetch ? "it was removed right after the pull" : "it is not here, and `pull` is never",
    );
  }
  const { id, bytes } = after;
  say(`Image ${image} is ${id}${bytes > 0 ? ` (${formatSize(bytes)})` : ""}`);
  // An image that was here under this name before the pull is not a job's.
  const pulled = fetch && before?.id !== id;
  const usedAt = clock.now();
  recordImageUse(stateDir, { id, reference: image, project: spec.project, pulled, usedAt });
  return after;
}

/** Engines pass on the words of registries and of Go's network errors. */
const PASSING = new RegExp(
  String.raw`\b(?:429|50[0234])\b|too ?many ?requests|service unavailable|bad gateway|timeout` +
    "|timed out|exceeded while awaiting|connection re(?:set|fused)|broken pipe|EOF|no route to host" +
    "|network is unreachable|temporary failure|server misbehaving",
  "i",
);

function passingFailure(error: unknown): string | undefined {
  const isPassing = error instanceof EngineError && error.code === "executor_failed" &&
    PASSING.test(error.message);
  return isPassing ? error.message : undefined;
}

function loginOf(
  container: ContainerSpec,
  secrets: SetupContext["secrets"],
): RegistryLogin | undefined {
  const { image, registry } = container;
  const reference = parseImageReference(image);
  if (registry === undefined || reference === undefined) return undefined;
  const { username, passwordSecret } = registry;
  const password = secrets.get(passwordSecret);
  if (password === undefined) {
    throw unavailable(container, `secret "${passwordSecret}", its registry password, is missing`);
  }
  return { username, password, serveraddress: registryOf(reference) };
}

function unavailable({ image }: ContainerSpec, why: string, cause?: unknown): StepFailure {
  const message = why.startsWith("Cannot ") ? why : `Cannot use image "${image}": ${why}`;
  return new StepFailure("image_unavailable", message, { cause });
}
