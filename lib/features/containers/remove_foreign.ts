/**
 * Removes files that jobs made as other users in a container, through the engine.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { readImageUses } from "@lib/features/containers/image_use.ts";
import { helperLabels } from "@lib/features/containers/job_labels.ts";

/** Limit of one removal. */
const TIMEOUT_MS = 10 * 60_000;
/** The directories of this machine that `rm` needs; no program of the image is executed. */
const PROGRAMS = ["/usr", "/bin", "/lib", "/lib64"];
const TARGET = "/cicd-remove";

/**
 * Removes a directory as root of the engine. Only its parent is mounted, and `rm` follows no link
 * in it.
 *
 * @throws {CicdError} `io_failed` if something remains.
 */
export async function removeForeign(
  engine: Engine,
  path: string,
  options: { readonly stateDir: string; readonly signal: AbortSignal },
): Promise<void> {
  const { stateDir } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const slash = path.lastIndexOf("/");
  const bind = (Source: string, Target: string, ReadOnly: boolean) => (
    { Type: "bind", Source, Target, ReadOnly } as const
  );
  const id = await engine.createContainer(`cicd-remove-${crypto.randomUUID()}`, {
    Image: await imageOf(engine, stateDir, signal),
    Entrypoint: ["/bin/rm", "-rf", "--", `${TARGET}/${path.slice(slash + 1)}`],
    Cmd: [],
    Env: [],
    User: "0:0",
    WorkingDir: "/",
    Labels: helperLabels(stateDir),
    OpenStdin: false,
    Tty: false,
    HostConfig: {
      NetworkMode: "none",
      Mounts: [
        bind(path.slice(0, slash), TARGET, false),
        ...PROGRAMS.filter(existsSync).map((directory) => bind(directory, directory, true)),
      ],
      PidsLimit: 64,
      Ulimits: [],
      Privileged: false,
      CapDrop: ["ALL"],
      CapAdd: ["DAC_OVERRIDE", "FOWNER"],
      SecurityOpt: ["no-new-privileges"],
      OomScoreAdj: 500,
      LogConfig: { Type: "none", Config: {} },
      RestartPolicy: { Name: "no" },
      AutoRemove: false,
    },
  }, signal);
  try {
    await engine.startContainer(id, signal);
    await engine.waitContainer(id, signal);
    const code = (await engine.inspectContainer(id, signal))?.exitCode;
    if (code !== 0) {
      throw new CicdError("io_failed", `Cannot remove "${path}": rm ended with ${code} there`);
    }
  } finally {
    await engine.removeContainer(id, options.signal);
  }
}

/** Returns an image that a job used and the engine still has. */
async function imageOf(engine: Engine, stateDir: string, signal: AbortSignal): Promise<string> {
  for (const { id } of await readImageUses(stateDir)) {
    if (await engine.inspectImage(id, signal) !== undefined) return id;
  }
  throw new CicdError("io_failed", "The container engine has no image of a job any more");
}
