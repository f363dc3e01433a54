/**
 * The image of `deploy/container/`, built of a release without a network, and containers of it.
 *
 * @module
 */
import type { DockerEngine } from "./docker_engine.ts";
import { ensureMachineRoot } from "./machine_root.ts";
import { releaseUnderTest } from "./release.ts";

/** Name of the image. */
export const IMAGE = "cicd-toolkit";

/** The result of a program of the test. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The engine's own command line. */
export class DockerCli {
  readonly #host: string;

  constructor(host: string) {
    this.#host = host;
  }

  /** Runs a command to its end. */
  async try(...args: readonly string[]): Promise<Ended> {
    const { code, stdout, stderr } = await new Deno.Command("docker", {
      args: [...args],
      // The builder that is asked for is part of every engine.
      env: { DOCKER_HOST: this.#host, DOCKER_BUILDKIT: "0" },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** As {@linkcode try}, for what has to succeed; returns what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code === 0) return stdout.trim();
    throw new Error(`Cannot run "docker ${args.join(" ")}": ${code}\n${stdout}${stderr}`);
  }
}

/** Builds the image on the root of the test machines. */
export async function buildImage(engine: Pick<DockerEngine, "host">): Promise<void> {
  const signal = AbortSignal.timeout(600_000);
  const docker = new DockerCli(engine.host);
  await using stack = new AsyncDisposableStack();
  const release = await releaseUnderTest(stack, signal);
  const base = await Deno.makeTempFile({ prefix: "cicd-base-", suffix: ".tar" });
  stack.defer(() => Deno.remove(base));
  const root = await ensureMachineRoot(signal);
  const leftOut = ["./usr/share", "./var/cache", "./var/log"].map((path) => `--exclude=${path}`);
  const tar = await new Deno.Command("tar", {
    args: ["--one-file-system", ...leftOut, `--directory=${root}`, `--file=${base}`, "-c", "."],
  }).output();
  if (!tar.success) throw new Error(new TextDecoder().decode(tar.stderr));
  await docker.run("import", base, "test-base");
  await docker.run(
    ...["build", "--network=none", "--build-arg=BASE=test-base", `--tag=${IMAGE}`],
    "--build-arg=PACKAGES=ca-certificates curl git",
    `--file=${release}/deploy/container/Dockerfile`,
    release,
  );
}
