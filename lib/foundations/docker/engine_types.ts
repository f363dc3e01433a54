/**
 * What we tell a container engine, and what it tells us.
 *
 * @module
 */
import * as v from "valibot";

/** A container to be made, with the names of the engines' API. */
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

/** The part of {@linkcode ContainerBody} that is about the machine. */
export interface HostBody {
  readonly NetworkMode: string;
  readonly Mounts: readonly MountBody[];
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

/** A path of the machine in a container. */
export interface MountBody {
  readonly Type: "bind";
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
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
const labels = v.optional(v.nullable(v.record(v.string(), v.string())));

/** What an engine says of a container. */
export const containerInfo = v.pipe(
  v.object({
    Id: v.string(),
    Config: v.object({ Labels: labels, Image: v.optional(v.string()) }),
    State: v.object({
      Status: v.string(),
      ExitCode: v.number(),
      OOMKilled: v.optional(v.boolean(), false),
      Pid: v.optional(v.number(), 0),
      Error: v.optional(v.string(), ""),
      StartedAt: v.optional(time),
      FinishedAt: v.optional(time),
    }),
  }),
  v.transform(({ Id, Config, State }) => ({
    id: Id,
    labels: Config.Labels ?? {},
    /** Such as `created`, `running` or `exited`. */
    status: State.Status,
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    /** Of this machine, if the engine is; 0 while it does not run. */
    pid: State.Pid,
    error: State.Error,
    /** In milliseconds since the epoch, as is the next. */
    startedAt: State.StartedAt,
    finishedAt: State.FinishedAt,
  })),
);
/** See {@linkcode containerInfo}. */
export type ContainerInfo = v.InferOutput<typeof containerInfo>;

/** What an engine says of each container in a list. */
export const containerSummary = v.pipe(
  v.object({
    Id: v.string(),
    Names: v.optional(v.nullable(v.array(v.string()))),
    State: v.optional(v.string(), ""),
    ImageID: v.optional(v.string(), ""),
    Labels: labels,
    Created: v.optional(v.union([v.number(), v.string()]), 0),
  }),
  v.transform(({ Id, Names, State, ImageID, Labels, Created }) => ({
    id: Id,
    names: (Names ?? []).map((name) => name.replace(/^\//, "")),
    status: State,
    imageId: ImageID,
    labels: Labels ?? {},
    createdAt: typeof Created === "number" ? Created * 1_000 : Date.parse(Created),
  })),
);
/** See {@linkcode containerSummary}. */
export type ContainerSummary = v.InferOutput<typeof containerSummary>;

/** What an engine says of an image. */
export const imageInfo = v.pipe(
  v.object({
    Id: v.string(),
    RepoDigests: v.optional(v.nullable(v.array(v.string()))),
    RepoTags: v.optional(v.nullable(v.array(v.string()))),
    Size: v.optional(count, 0),
    Config: v.optional(v.nullable(v.object({ User: v.optional(v.string(), "") }))),
  }),
  v.transform(({ Id, RepoDigests, RepoTags, Size, Config }) => ({
    id: Id,
    digests: RepoDigests ?? [],
    tags: RepoTags ?? [],
    bytes: Size,
    /** Empty: root. */
    user: Config?.User ?? "",
  })),
);
/** See {@linkcode imageInfo}. */
export type ImageInfo = v.InferOutput<typeof imageInfo>;

/** What an engine says of each image in a list. */
export const imageSummary = v.pipe(
  v.object({
    Id: v.string(),
    RepoTags: v.optional(v.nullable(v.array(v.string()))),
    RepoDigests: v.optional(v.nullable(v.array(v.string()))),
    Size: v.optional(count, 0),
    Created: v.optional(v.number(), 0),
    Labels: labels,
  }),
  v.transform(({ Id, RepoTags, RepoDigests, Size, Created, Labels }) => ({
    id: Id,
    tags: RepoTags ?? [],
    digests: RepoDigests ?? [],
    bytes: Size,
    createdAt: Created * 1_000,
    labels: Labels ?? {},
  })),
);
/** See {@linkcode imageSummary}. */
export type ImageSummary = v.InferOutput<typeof imageSummary>;

/** What an engine says of a network. */
export const networkInfo = v.pipe(
  v.object({
    Id: v.string(),
    Name: v.string(),
    Labels: labels,
    Created: v.optional(time),
  }),
  v.transform(({ Id, Name, Labels, Created }) => ({
    id: Id,
    name: Name,
    labels: Labels ?? {},
    createdAt: Created,
  })),
);
/** See {@linkcode networkInfo}. */
export type NetworkInfo = v.InferOutput<typeof networkInfo>;

/** What an engine says of itself. */
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
    /** CPUs of the engine's machine; 0 if it does not tell. */
    cpus: info.NCPU,
    version: info.ServerVersion,
    /** Such as `overlay2`. */
    storageDriver: info.Driver,
    /** `systemd` or `cgroupfs`. */
    cgroupDriver: info.CgroupDriver,
    cgroupVersion: info.CgroupVersion,
    /** Podman says so in a field of its own, older ones only there. */
    rootless: info.Rootless ||
      (info.SecurityOptions ?? []).some((option) => option.includes("rootless")),
    logDrivers: info.Plugins?.Log ?? [],
    hasInit: info.InitBinary !== "",
    /**
     * Whether an engine of this version may end the output that it is asked to follow before the
     * last of it: Docker before 23 tosses a coin when the last write and the end come together.
     */
    mayCutOutput: /^(1\d|2[0-2])\./.test(info.ServerVersion),
    /** Where it keeps images and containers, on its own machine; empty if it does not say. */
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
/** See {@linkcode engineFacts}; `podman` is told by the answer to a ping. */
export type EngineFacts = v.InferOutput<typeof engineFacts> & { readonly podman: boolean };

/** How an engine's disk is used. */
export const diskUsage = v.pipe(
  v.object({
    LayersSize: v.optional(v.number(), 0),
    Images: v.optional(v.nullable(v.array(v.object({
      Id: v.string(),
      Size: v.optional(v.number(), 0),
      SharedSize: v.optional(v.number(), 0),
      Containers: v.optional(v.number(), 0),
    })))),
  }),
  v.transform(({ LayersSize, Images }) => ({
    layerBytes: LayersSize,
    images: (Images ?? []).map(({ Id, Size, SharedSize, Containers }) => ({
      id: Id,
      bytes: Size,
      sharedBytes: Math.max(SharedSize, 0),
      containers: Math.max(Containers, 0),
    })),
  })),
);
/** See {@linkcode diskUsage}. */
export type DiskUsage = v.InferOutput<typeof diskUsage>;

/** One word of a pull's progress. */
export const pullEvent = v.object({
  status: v.optional(v.string(), ""),
  /** Of a layer, or the tag. */
  id: v.optional(v.string()),
  progressDetail: v.optional(v.nullable(v.object({
    current: v.optional(v.number()),
    total: v.optional(v.number()),
  }))),
  error: v.optional(v.string()),
});
/** See {@linkcode pullEvent}. */
export type PullEvent = v.InferOutput<typeof pullEvent>;

/** Opens a registry; goes into a header of the pull and nowhere else. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** Such as `docker.io`. */
  readonly registry: string;
}
