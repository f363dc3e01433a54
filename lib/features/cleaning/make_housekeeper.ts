/**
 * Joins the parts of a cleaning. Loaded when someone asks for one.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { ENGINE, PROGRAM } from "@lib/foundations/config/program_keys.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { CACHES } from "@lib/features/caches/keys.ts";
import { cacheSource } from "@lib/features/cleaning/caches.ts";
import { leftoverSource } from "@lib/features/cleaning/engine_leftovers.ts";
import type { CleaningEngine } from "@lib/features/cleaning/engine_port.ts";
import { entryAt } from "@lib/features/cleaning/folders.ts";
import { Housekeeper, type OpenSources } from "@lib/features/cleaning/housekeeper.ts";
import { imageSource } from "@lib/features/cleaning/images.ts";
import { CLEAN, RETENTION } from "@lib/features/cleaning/keys.ts";
import { mirrorSource } from "@lib/features/cleaning/mirrors.ts";
import type { CleanSource } from "@lib/features/cleaning/source.ts";
import { temporarySource } from "@lib/features/cleaning/temporary_files.ts";
import { workspaceSource } from "@lib/features/cleaning/workspaces.ts";
import { DISK } from "@lib/spine/queue/keys.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { measureJobs } from "@lib/features/cleaning/job_bytes.ts";
import { lockFolder } from "@lib/foundations/store/state_lock.ts";
import { freeDiskBytes, removeEndedJob } from "@lib/features/cleaning/sweep.ts";

/** What a cleaning works on. */
export interface HousekeepingInput {
  readonly store: JobStore;
  readonly config: () => Config;
  /** Says where an engine listens. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Makes the housekeeper of this runner. */
export function makeHousekeeper(input: HousekeepingInput): Housekeeper {
  const { store, config, clock, log } = input;
  const { stateDir } = config().of(PROGRAM);
  return new Housekeeper({
    jobs: {
      list: () => store.ended(),
      measure: (jobs, signal) => measureJobs(stateDir, jobs, signal),
      remove: (job) => removeEndedJob({ store, stateDir }, job),
    },
    openSources: (signal) => openSources(input, signal),
    limits() {
      const clean = config().of(CLEAN);
      return {
        retention: { ...config().of(RETENTION), ...config().of(DISK) },
        caches: config().of(CACHES),
        images: { maxAgeMs: clean.imagesUnusedMs, maxBytes: clean.imagesMaxBytes },
        mirrors: { maxAgeMs: clean.mirrorsUnusedMs, maxBytes: Infinity },
      };
    },
    freeBytes: () => freeDiskBytes(stateDir),
    clock,
    log,
  });
}

async function openSources(
  input: HousekeepingInput,
  signal: AbortSignal,
): Promise<OpenSources> {
  const { store, config, clock } = input;
  using parts = new DisposableStack();
  const { stateDir, runtimeDir } = config().of(PROGRAM);
  const now = () => clock.now();
  const skipped: string[] = [];
  const { allCaches } = await import("@lib/features/caches/cache_store.ts");
  const sources: CleanSource[] = [
    cacheSource(allCaches(stateDir)),
    workspaceSource({ stateDir, read: (id) => store.get(id), now }),
    temporarySource({ stateDir, runtimeDir, now }),
    mirrorSource({
      stateDir,
      busyProjects: () => new Set(store.inFlight().map(({ spec }) => spec.project)),
      tryLock: (mirror) => Promise.resolve(tryLockMirror(mirror)),
    }),
  ];
  let imagesShareDisk = false;
  try {
    const engine = await openEngine(input);
    if (engine !== undefined) {
      parts.use(engine);
      imagesShareDisk = await engine.sharesDiskWith(stateDir, signal);
      sources.push(
        leftoverSource({ engine, read: (id) => store.get(id), now }),
        imageSource({ stateDir, engine, wantedImages: () => wantedImages(store), now }),
      );
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    skipped.push(`Containers and images were left alone: ${messageOf(error)}`);
  }
  const owned = parts.move();
  return {
    sources,
    imagesShareDisk,
    skipped,
    [Symbol.dispose]: () => owned[Symbol.dispose](),
  };
}

/** Opens the engine; `undefined` if no job ever used one here, so that nothing of ours is there. */
async function openEngine(
  { config, env }: HousekeepingInput,
): Promise<CleaningEngine | undefined> {
  const { stateDir } = config().of(PROGRAM);
  if (await entryAt(`${stateDir}/images`) === undefined) return undefined;
  const [{ Engine }, { findEngine }, { cleaningEngine }] = await Promise.all([
    import("@lib/foundations/docker/engine.ts"),
    import("@lib/foundations/docker/find_engine.ts"),
    import("@lib/features/cleaning/engine.ts"),
  ]);
  return cleaningEngine(
    await Engine.open(findEngine({ host: config().of(ENGINE).host, env })),
    stateDir,
  );
}

function wantedImages(store: JobStore): ReadonlySet<string> {
  const images = store.inFlight().map(({ spec }) => spec.container?.image);
  return new Set(images.filter((image) => image !== undefined));
}

/** Takes the lock that checkouts take: a file beside the mirror. */
function tryLockMirror(mirror: string): Disposable | undefined {
  const at = mirror.lastIndexOf("/");
  const program = mirror.slice(at + 1).replace(/\.git$/, "");
  try {
    return lockFolder({ folder: mirror.slice(0, at), program, remedy: "wait until it is done" });
  } catch (error) {
    if (error instanceof CicdError && error.code === "store_locked") return undefined;
    throw error;
  }
}
