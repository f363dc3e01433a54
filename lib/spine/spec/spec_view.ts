/**
 * What a job is made of, as clients see it: the names of the request, every
 * default filled in, neither secrets nor the contents of files.
 *
 * @module
 */
import type { ContainerSpec, GitSpec, JobSpec, WorkspaceFile } from "@lib/spine/jobs/model.ts";

/** Shows a spec. */
export function toSpecView(spec: JobSpec): Record<string, unknown> {
  return present({
    ...(spec.work.kind === "command"
      ? { command: spec.work.argv }
      : { script: spec.work.text, shell: spec.work.shell }),
    env: spec.env,
    secret_names: spec.secretNames,
    workdir: spec.workdir,
    ...(spec.container === undefined ? {} : containerView(spec.container)),
    git: spec.git === undefined ? undefined : gitView(spec.git),
    files: spec.files?.map(fileView),
    artifacts: spec.artifacts,
    caches: spec.caches?.map(({ name, paths, keyFiles }) => ({ name, paths, key_files: keyFiles })),
    priority: spec.priority,
    concurrency_group: spec.concurrencyGroup,
    cancel_in_progress: spec.cancelInProgress,
    retries: {
      max: spec.retries.max,
      on: spec.retries.on,
      delay_seconds: spec.retries.delayMs / 1_000,
    },
    output: spec.output,
    log_max_bytes: spec.logMaxBytes,
    labels: spec.labels,
  });
}

function containerView(container: ContainerSpec): Record<string, unknown> {
  const { registry } = container;
  return {
    image: container.image,
    pull: container.pull,
    network: container.network,
    container: present({
      entrypoint: container.entrypoint,
      user: container.user,
      mounts: container.mounts.map(({ source, target, readOnly }) => ({
        source,
        target,
        read_only: readOnly,
      })),
      capabilities: container.capabilities,
      privileged: container.privileged,
      ulimits: container.ulimits,
      shm_size_bytes: container.shmBytes,
      registry: registry === undefined ? undefined : {
        username: registry.username,
        password_secret: registry.passwordSecret,
      },
    }),
  };
}

function gitView({ tokenSecret, ...git }: GitSpec): Record<string, unknown> {
  return present({ ...git, token_secret: tokenSecret });
}

function fileView({ path, content, executable }: WorkspaceFile): Record<string, unknown> {
  const padding = content.endsWith("==") ? 2 : content.endsWith("=") ? 1 : 0;
  return { path, size_bytes: Math.floor(content.length * 3 / 4) - padding, executable };
}

function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
