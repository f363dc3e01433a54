/**
 * Gets a job's image before the job begins.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { recordImageUse } from "@lib/features/containers/image_use.ts";
import { PullProgress } from "@lib/features/containers/pull_progress.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import type { RegistryLogin } from "@lib/foundations/docker/engine_types.ts";
import { parseImageReference, registryOf } from "@lib/foundations/docker/image_reference.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import type { ContainerSpec } from "@lib/spine/spec/job_spec.ts";
import { type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";

/** Options for {@linkcode prepareImage}. */
export interface ImageStepOptions {
  readonly engines: Pick<EngineSource, "engine" | "forget">;
  readonly stateDir: string;
  readonly rules: () => ContainerRules;
  readonly clock: Clock;
}

/**
 * Gets the image of a job that runs in a container.
 *
 * @throws {StepFailure} `image_unavailable`.
 */
export async function prepareImage(
  context: SetupContext,
  options: ImageStepOptions,
  signal: AbortSignal,
): Promise<void> {
  const { container } = context.spec;
  if (container === undefined) return;
  const forbidden = containerIssues(container, options.rules()).find(({ path }) =>
    path === "image"
  );
  if (forbidden !== undefined) throw unavailable(container, forbidden.message);
  try {
    await obtain(context, container, options, signal);
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
): Promise<void> {
  const { image, pull } = container;
  const engine = await engines.engine();
  const before = await engine.inspectImage(image, signal);
  const fetch = pull === "always" || (pull === "missing" && before === undefined);
  if (fetch) {
    const login = loginOf(container, secrets);
    say(`Pulling image ${image}`);
    const progress = new PullProgress(say, clock);
    await engine.pullImage(image, { login, onEvent: (event) => progress.take(event) }, signal);
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
  await recordImageUse(stateDir, { id, reference: image, project: spec.project, pulled });
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
