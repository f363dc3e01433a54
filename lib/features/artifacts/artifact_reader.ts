/**
 * Reads the artifacts of jobs in the state directory.
 *
 * @module
 */
import type { FilePart } from "@lib/foundations/files/file_reader.ts";
import { openInside } from "@lib/foundations/files/inside.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import {
  type ArtifactFile,
  type ArtifactList,
  readArtifactList,
} from "@lib/features/artifacts/artifact_list.ts";

/** An artifact that can be read. */
export interface ReadableArtifact extends ArtifactFile {
  /**
   * Reads it, pull-based; nothing is open before the first read.
   *
   * @throws {Deno.errors.NotFound} If retention has removed it meanwhile.
   */
  read(signal: AbortSignal, part?: FilePart): AsyncIterable<Uint8Array>;
}

/** Lists that are kept in memory: a client that downloads all files asks for each. */
const KEPT_LISTS = 8;

interface KeptList {
  /** Changes with the file. */
  readonly stamp: string;
  readonly list: ArtifactList;
  readonly byPath: ReadonlyMap<string, ArtifactFile>;
}

/** Reads artifacts below a state directory. */
export class ArtifactReader {
  readonly #stateDir: string;
  readonly #kept = new Map<string, KeptList>();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /**
   * Returns the list of an attempt; `undefined` while there is none.
   *
   * @throws {CicdError} `io_failed` if it cannot be read.
   */
  async list(job: Job, attempt: number): Promise<ArtifactList | undefined> {
    return (await this.#read(job, attempt))?.list;
  }

  /**
   * Finds a file by its path in the list.
   *
   * @returns `undefined` if it is not in the list, or was changed or removed since.
   */
  async find(job: Job, attempt: number, path: string): Promise<ReadableArtifact | undefined> {
    const file = (await this.#read(job, attempt))?.byPath.get(path);
    if (file === undefined) return undefined;
    const { artifacts } = this.#directory(job, attempt);
    using now = openInside(artifacts, path);
    if (now?.size !== file.bytes) return undefined;
    return {
      ...file,
      async *read(signal, part = {}) {
        using opened = openInside(artifacts, path);
        if (opened === undefined) throw new Deno.errors.NotFound(`No artifact "${path}"`);
        yield* opened.chunks(signal, { to: file.bytes, ...part });
      },
    };
  }

  async #read(job: Job, attempt: number): Promise<KeptList | undefined> {
    const { artifactList } = this.#directory(job, attempt);
    const stat = await statIfThere(artifactList);
    if (stat === undefined) {
      this.#kept.delete(artifactList);
      return undefined;
    }
    const stamp = `${stat.ino}:${stat.size}:${stat.mtime?.getTime()}`;
    const kept = this.#kept.get(artifactList);
    if (kept?.stamp === stamp) return kept;
    const list = await readArtifactList(artifactList);
    if (list === undefined) return undefined;
    const read = { stamp, list, byPath: new Map(list.files.map((file) => [file.path, file])) };
    this.#kept.delete(artifactList);
    this.#kept.set(artifactList, read);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_LISTS && oldest !== undefined) this.#kept.delete(oldest);
    return read;
  }

  #directory({ id, spec: { project } }: Job, number: number) {
    return attemptDirectory(this.#stateDir, { project, jobId: id, number });
  }
}
