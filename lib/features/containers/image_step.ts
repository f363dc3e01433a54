/**
 * Sees to it that a job's image is here before the job begins.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import type { ImageInfo, RegistryLogin } from "@lib/foundations/docker/engine_types.ts";
import { parseImageReference, registryOf } from "@lib/foundations/docker/image_reference.ts";
import { recordImageUse } from "@lib/foundations/docker/image_use.ts";
import { containerIssues, type ContainerRules } from "@lib/spine/spec/container_policy.ts";
import type { ContainerSpec } from "@lib/spine/spec/job_spec.ts";
import { type AttemptStep, type SetupContext, StepFailure } from "@lib/spine/jobs/step.ts";
import { PullProgress } from "@lib/features/containers/pull_progress.ts";

/** Options for {@linkcode imageStep}. */
export interface ImageStepOptions {
  readonly engines: Pick<EngineSource, "engine" | "forget">;
  readonly stateDir: string;
  readonly rules: () => ContainerRules;
  readonly clock: Clock;
}

/** The step for jobs that run in a container. */
export function imageStep(options: ImageStepOptions): AttemptStep {
  return {
    name: "image",
    needed: ({ container }) => container !== undefined,
    async before(context, signal) {
      const { container } = context.spec;
      if (container === undefined) return;
      const forbidden = containerIssues(container, options.rules())
        .find(({ path }) => path === "image");
      if (forbidden !== undefined) throw unavailable(container, forbidden.message);
      try {
        await obtain(context, container, options, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof CicdError)) throw error;
        if (error.code === "engine_unavailable") options.engines.forget();
        throw unavailable(container, messageOf(error), error);
      }
    },
  };
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
  if (fetch) await pullImage(engine, container, { secrets, say, clock }, signal);
  const after = fetch ? await engine.inspectImage(image, signal) : before;
  if (after === undefined) {
    throw unavailable(
      container,
      fetch ? "it was pulled, and is gone again" : "it is not here, and `pull` is never",
    );
  }
  say(`Image ${image} is ${describe(after)}`);
  // An image that was here under this name already was brought by somebody else.
  const pulled = fetch && before?.id !== after.id;
  recordImageUse(stateDir, { id: after.id, reference: image, project: spec.project, pulled });
}

async function pullImage(
  engine: Engine,
  container: ContainerSpec,
  { secrets, say, clock }: Pick<SetupContext, "secrets" | "say"> & { readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const login = loginOf(container, secrets);
  say(`Pulling image ${container.image}`);
  const progress = new PullProgress({ say, clock });
  await engine.pullImage(container.image, {
    ...(login === undefined ? {} : { login }),
    onEvent: (event) => progress.take(event),
  }, signal);
}

function loginOf(
  container: ContainerSpec,
  secrets: SetupContext["secrets"],
): RegistryLogin | undefined {
  const { image, registry } = container;
  const reference = parseImageReference(image);
  if (registry === undefined || reference === undefined) return undefined;
  const password = secrets.get(registry.passwordSecret);
  if (password === undefined) {
    throw unavailable(
      container,
      `secret "${registry.passwordSecret}", which opens its registry, was not given`,
    );
  }
  return { username: registry.username, password, registry: registryOf(reference) };
}

function describe({ id, bytes }: ImageInfo): string {
  return `${id}${bytes > 0 ? ` (${formatSize(bytes)})` : ""}`;
}

function unavailable({ image }: ContainerSpec, why: string, cause?: unknown): StepFailure {
  if (cause instanceof StepFailure) return cause;
  const message = why.startsWith("Cannot ") ? why : `Cannot use image "${image}": ${why}`;
  return new StepFailure("image_unavailable", message, cause === undefined ? {} : { cause });
}
