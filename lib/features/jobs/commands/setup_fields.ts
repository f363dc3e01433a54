/**
 * From the flags about what is around a job to the fields of its request.
 *
 * @module
 */
import { resolve } from "node:path";
import { CicdError } from "@lib/core/errors.ts";
import type { SetupFlags } from "@lib/features/jobs/commands/grammar_setup_flags.ts";
import { readSecretSource, type SecretPorts } from "@lib/features/jobs/commands/secret_flags.ts";

/** The secrets that the flags make; the job never gets them. */
export const GIT_TOKEN_SECRET = "CICD_GIT_TOKEN";
/** As {@linkcode GIT_TOKEN_SECRET}, for the image's registry. */
export const REGISTRY_PASSWORD_SECRET = "CICD_REGISTRY_PASSWORD";

/** Which flag gave a field. */
export const SETUP_FLAG_OF: Readonly<Record<string, string>> = {
  image: "--image",
  pull: "--pull",
  network: "--network",
  "limits.disk": "--limit-disk",
  "container.entrypoint": "--entrypoint",
  "container.user": "--user",
  "container.mounts": "--mount",
  "container.capabilities": "--cap-add",
  "container.privileged": "--privileged",
  "container.ulimits": "--ulimit",
  "container.shm_size": "--shm-size",
  "container.registry": "--registry-user",
  "git.url": "--git",
  "git.ref": "--ref",
  "git.sha": "--sha",
  "git.depth": "--depth",
  "git.submodules": "--submodules",
  "git.lfs": "--lfs",
  "git.path": "--git-path",
  "git.token_secret": "--git-token",
  artifacts: "--artifact",
  "artifacts.when": "--artifact-when",
  caches: "--cache",
  [`secrets.${GIT_TOKEN_SECRET}`]: "--git-token",
  [`secrets.${REGISTRY_PASSWORD_SECRET}`]: "--registry-password",
};

/** Fields of a request; one that is `undefined` was not given. */
export type SetupFields = Readonly<
  Record<"image" | "pull" | "network" | "container" | "git" | "artifacts" | "caches", unknown>
>;

/** @throws {CicdError} `usage` if a flag cannot be read. */
export function setupFields(flags: SetupFlags, cwd: string): SetupFields {
  return {
    image: flags.image,
    pull: flags.pull,
    network: flags.network,
    container: unlessEmpty({
      entrypoint: flags.entrypoint,
      user: flags.user,
      mounts: listUnlessEmpty(flags.mounts.map((flag) => mountOf(flag, cwd))),
      capabilities: listUnlessEmpty(flags.capabilities),
      privileged: flags.privileged ? true : undefined,
      ulimits: unlessEmpty(Object.fromEntries(flags.ulimits.map(ulimitOf))),
      shm_size: flags.shmSize,
      registry: registryOf(flags),
    }),
    git: unlessEmpty({
      url: flags.gitUrl,
      ref: flags.gitRef,
      sha: flags.gitSha,
      depth: flags.gitDepth,
      submodules: flags.gitSubmodules ? true : undefined,
      lfs: flags.gitLfs ? true : undefined,
      path: flags.gitPath,
      token_secret: flags.gitToken === undefined ? undefined : GIT_TOKEN_SECRET,
    }),
    artifacts: unlessEmpty({
      paths: listUnlessEmpty(flags.artifacts),
      when: flags.artifactWhen,
    }),
    caches: listUnlessEmpty(flags.caches.map(cacheOf)),
  };
}

/**
 * Reads the secrets of the checkout and of the registry.
 *
 * @throws {CicdError} `usage` if one cannot be had; no message holds a value.
 */
export async function readSetupSecrets(
  flags: SetupFlags,
  ports: SecretPorts,
): Promise<Readonly<Record<string, string>>> {
  const secrets: Record<string, string> = {};
  const wanted = [
    [GIT_TOKEN_SECRET, "--git-token", flags.gitToken],
    [REGISTRY_PASSWORD_SECRET, "--registry-password", flags.registryPassword],
  ] as const;
  for (const [name, flag, source] of wanted) {
    if (source === undefined) continue;
    secrets[name] = await readSecretSource(source, { flag, before: `${flag} ` }, ports);
  }
  return secrets;
}

function registryOf({ registryUser, registryPassword }: SetupFlags): unknown {
  if (registryUser === undefined && registryPassword === undefined) return undefined;
  if (registryUser === undefined || registryPassword === undefined) {
    throw usage("--registry-user and --registry-password go together; give both or none");
  }
  return { username: registryUser, password_secret: REGISTRY_PASSWORD_SECRET };
}

function mountOf(flag: string, cwd: string) {
  const [source = "", target = "", mode = "ro", ...more] = flag.split(":");
  if (source === "" || target === "" || !["ro", "rw"].includes(mode) || more.length > 0) {
    throw usage(`--mount ${flag} is no mount; write --mount SOURCE:TARGET or SOURCE:TARGET:rw`);
  }
  return { source: resolve(cwd, source), target, read_only: mode === "ro" };
}

function ulimitOf(flag: string): readonly [string, number] {
  const [, name = "", count = ""] = /^([a-z]+)=(\d{1,15})$/.exec(flag) ?? [];
  if (name === "") throw usage(`--ulimit ${flag} is no limit; write one such as nofile=1024`);
  return [name, Number(count)];
}

function cacheOf(flag: string) {
  const [, name, paths, files] = /^([^=]+)=([^:]+)(?::(.*))?$/s.exec(flag) ?? [];
  if (name === undefined || paths === undefined) {
    throw usage(
      `--cache ${flag} names no folder; write --cache NAME=PATH or --cache NAME=PATH:KEYFILE`,
    );
  }
  const keyFiles = files === undefined ? undefined : listUnlessEmpty(words(files));
  return { name, paths: words(paths), ...(keyFiles === undefined ? {} : { key_files: keyFiles }) };
}

function words(list: string): readonly string[] {
  return list.split(",").map((word) => word.trim()).filter((word) => word !== "");
}

function listUnlessEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** The given ones of some fields; nothing if none is. */
function unlessEmpty(
  fields: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> | undefined {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

function usage(problem: string): CicdError {
  return new CicdError("usage", `Cannot make a job: ${problem}`);
}
