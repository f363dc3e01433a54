/**
 * Bodies of requests to a container engine, and schemas of its answers.
 *
 * @module
 */
import * as v from "valibot";
import { EngineError, oneLine } from "@lib/foundations/docker/engine_error.ts";

/** A container to create, in the terms of the engine API. */
export interface ContainerBody {
  readonly Image: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env: readonly string[];
  readonly User?: string;
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly OpenStdin: false;
  readonly Tty: false;
  readonly HostConfig: HostBody;
}

/** The part of {@linkcode ContainerBody} that concerns the machine. */
export interface HostBody {
  readonly NetworkMode: string;
  readonly Mounts: readonly {
    readonly Type: "bind";
    readonly Source: string;
    readonly Target: string;
    readonly ReadOnly: boolean;
  }[];
  readonly NanoCpus?: number;
  readonly Memory?: number;
  readonly MemorySwap?: number;
  readonly PidsLimit: number;
  readonly StorageOpt?: Readonly<Record<string, string>>;
  readonly ShmSize?: number;
  readonly Ulimits: readonly {
    readonly Name: string;
    readonly Soft: number;
    readonly Hard: number;
  }[];
  readonly Privileged: boolean;
  readonly CapDrop: readonly string[];
  readonly CapAdd: readonly string[];
  readonly SecurityOpt: readonly string[];
  readonly OomScoreAdj: number;
  readonly CgroupParent?: string;
  readonly UsernsMode?: string;
  readonly Init?: boolean;
  readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  readonly RestartPolicy: { readonly Name: "no" };
  readonly AutoRemove: false;
}

const time = v.pipe(
  v.string(),
  v.transform((text) => {
    const ms = Date.parse(text);
    // The year 1 stands for "never".
    return ms > 0 ? ms : undefined;
  }),
);
const count = v.pipe(v.number(), v.minValue(0));

/** An engine's answer to the creation of a container. */
export const createdId = v.pipe(v.object({ Id: v.string() }), v.transform(({ Id }) => Id));

/** An engine's answer about a container. */
export const containerInfo = v.pipe(
  v.object({
    Id: v.string(),
    Config: v.optional(
      v.object({ Labels: v.optional(v.nullable(v.record(v.string(), v.string()))) }),
    ),
    State: v.object({
      Status: v.string(),
      ExitCode: v.number(),
      OOMKilled: v.optional(v.boolean(), false),
      Pid: v.optional(v.number(), 0),
      StartedAt: v.optional(time),
      FinishedAt: v.optional(time),
    }),
  }),
  v.transform(({ Id, Config, State }) => ({
    id: Id,
    labels: Config?.Labels ?? {},
    /** Such as `created`, `running` or `exited`. */
    status: State.Status,
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    /** On the engine's machine; 0 while it does not run. */
    pid: State.Pid,
    /** In milliseconds since the epoch, as is the next. */
    startedAt: State.StartedAt,
    finishedAt: State.FinishedAt,
  })),
);
export type ContainerInfo = v.InferOutput<typeof containerInfo>;

/** One container of an engine's list. */
export const containerSummary = v.pipe(
  v.object({
    Id: v.string(),
    Names: v.optional(v.nullable(v.array(v.string()))),
    ImageID: v.optional(v.string(), ""),
    Labels: v.optional(v.nullable(v.record(v.string(), v.string()))),
    Created: v.optional(v.union([v.number(), v.string()]), 0),
  }),
  v.transform(({ Id, Names, ImageID, Labels, Created }) => ({
    id: Id,
    names: (Names ?? []).map((name) => name.replace(/^\//, "")),
    imageId: ImageID,
    labels: Labels ?? {},
    createdAt: typeof Created === "number" ? Created * 1_000 : Date.parse(Created),
  })),
);
export type ContainerSummary = v.InferOutput<typeof containerSummary>;

/** An engine's answer about an image. */
export const imageInfo = v.pipe(
  v.object({
    Id: v.string(),
    Size: v.optional(count, 0),
    Config: v.optional(v.nullable(v.object({
      User: v.optional(v.string(), ""),
      Entrypoint: v.optional(v.nullable(v.array(v.string()))),
    }))),
  }),
  v.transform(({ Id, Size, Config }) => ({
    id: Id,
    bytes: Size,
    /** Whom its containers run as unless they say; empty: root. */
    user: Config?.User ?? "",
    /** Words that its containers begin with unless they say. */
    entrypoint: Config?.Entrypoint ?? [],
  })),
);
export type ImageInfo = v.InferOutput<typeof imageInfo>;

/** One image of an engine's list. */
export const imageSummary = v.pipe(
  v.object({
    Id: v.string(),
    RepoTags: v.optional(v.nullable(v.array(v.string()))),
    Size: v.optional(count, 0),
  }),
  v.transform(({ Id, RepoTags, Size }) => ({ id: Id, tags: RepoTags ?? [], bytes: Size })),
);
export type ImageSummary = v.InferOutput<typeof imageSummary>;

/** One network of an engine's list. */
export const networkInfo = v.pipe(
  v.object({ Id: v.string(), Name: v.string(), Created: v.optional(time) }),
  v.transform(({ Id, Name, Created }) => ({ id: Id, name: Name, createdAt: Created })),
);
export type NetworkInfo = v.InferOutput<typeof networkInfo>;

/** An engine's answer about itself. */
export const engineFacts = v.pipe(
  v.object({
    ServerVersion: v.optional(v.string(), ""),
    Driver: v.optional(v.string(), ""),
    CgroupDriver: v.optional(v.string(), ""),
    CgroupVersion: v.optional(v.string(), ""),
    SecurityOptions: v.optional(v.nullable(v.array(v.string()))),
    Rootless: v.optional(v.boolean(), false),
    Plugins: v.optional(v.object({ Log: v.optional(v.nullable(v.array(v.string()))) })),
    InitBinary: v.optional(v.string(), ""),
    DockerRootDir: v.optional(v.string(), ""),
    CpuCfsQuota: v.optional(v.boolean(), false),
    MemoryLimit: v.optional(v.boolean(), false),
    SwapLimit: v.optional(v.boolean(), false),
    PidsLimit: v.optional(v.boolean(), false),
    NCPU: v.optional(v.number(), 0),
  }),
  v.transform((info) => ({
    /** CPUs of the engine's machine; 0 if unknown. */
    cpus: info.NCPU,
    version: info.ServerVersion,
    /** Such as `overlay2`. */
    storageDriver: info.Driver,
    /** `systemd` or `cgroupfs`. */
    cgroupDriver: info.CgroupDriver,
    cgroupVersion: info.CgroupVersion,
    /** Podman has a field of its own; older versions only list an option. */
    rootless: info.Rootless ||
      (info.SecurityOptions ?? []).some((option) => option.includes("rootless")),
    /** Ids on the engine's machine of its containers' root; those of its users follow. */
    root: rootIds(info),
    logDrivers: info.Plugins?.Log ?? [],
    hasInit: info.InitBinary !== "",
    /**
     * Set if an engine of this version may end followed output before its last bytes: Docker
     * before 23 does so at random when the last write and the end of the container coincide.
     */
    mayCutOutput: /^(1\d|2[0-2])\./.test(info.ServerVersion),
    /** Directory of images and containers on the engine's machine; empty if unknown. */
    storageDirectory: info.DockerRootDir,
    /** Which limits the engine can enforce on this machine. */
    enforces: {
      cpu: info.CpuCfsQuota,
      memory: info.MemoryLimit,
      swap: info.SwapLimit,
      tasks: info.PidsLimit,
    },
  })),
);
/** With `userns-remap` Docker has a directory of its own for each mapping: `/var/lib/docker/UID.GID`. */
function rootIds({ SecurityOptions, DockerRootDir }: {
  readonly SecurityOptions?: readonly string[] | null | undefined;
  readonly DockerRootDir: string;
}): { readonly uid: number; readonly gid: number } {
  const isMapped = (SecurityOptions ?? []).some((option) => option.includes("userns"));
  const [, uid = 0, gid = 0] = (isMapped && /\/(\d+)\.(\d+)$/.exec(DockerRootDir)) || [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** See {@linkcode engineFacts}; a ping tells if it is Podman. */
export type EngineFacts = v.InferOutput<typeof engineFacts> & { readonly podman: boolean };

/** One event of a pull. */
const pullEvent = v.object({
  status: v.optional(v.string(), ""),
  /** A layer's id, or the tag. */
  id: v.optional(v.string()),
  error: v.optional(v.string()),
});
export type PullEvent = v.InferOutput<typeof pullEvent>;

/** Credentials of a registry; sent in a header of the pull and nowhere else. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** Such as `docker.io`. */
  readonly serveraddress: string;
}

/** A longer line is not from an engine; it is skipped. */
const LINE_MAX_CHARS = 64 * 1024;

/** Reads the events of a pull, one JSON object per line; skips invalid lines. */
export async function* readPullEvents(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<PullEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_MAX_CHARS) rest = "";
    yield* lines.flatMap(parsePullEvent);
  }
  yield* parsePullEvent(rest);
}

function parsePullEvent(line: string): readonly PullEvent[] {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), pullEvent), line);
  return success ? [output] : [];
}

/** Docker says the id of an import as its status, Podman as its id. */
const importEvent = v.object({
  status: v.optional(v.string(), ""),
  id: v.optional(v.string(), ""),
  error: v.optional(v.string()),
});

/**
 * Reads the answer to an import.
 *
 * @throws {EngineError} `executor_failed` with the engine's message.
 */
export async function readImportedId(source: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of source) {
    text = (text + decoder.decode(chunk, { stream: true })).slice(0, LINE_MAX_CHARS);
  }
  const events = text.split("\n").flatMap((line) => {
    const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), importEvent), line);
    return success ? [output] : [];
  });
  for (const { status, id } of events) {
    const found = [status, id].find((one) => /^(?:sha256:)?[0-9a-f]{64}$/.test(one));
    if (found !== undefined) return found;
  }
  const why = events.find(({ error }) => error !== undefined)?.error ?? "it named none";
  throw new EngineError("executor_failed", `Cannot make an empty image: ${oneLine(why)}`);
}
