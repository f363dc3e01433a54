/**
 * Directories that a hostile job owns, or owned.
 *
 * Every call resolves a path such as `work/dist/report` again, and a symbolic link in any part of it
 * leads elsewhere. A {@linkcode Directory} holds its descriptor and resolves only single names in
 * it, never through a link: whatever a job renames or replaces meanwhile, nothing outside is reached.
 *
 * @module
 */
import { closeSync, constants, fchmodSync, fstatSync, openSync, write } from "node:fs";
import { FileReader } from "@lib/foundations/files/file_reader.ts";

/** The kind of a directory entry. */
export type EntryKind = "file" | "directory" | "link" | "other";

/** A link, or something else than a directory, is where a directory must be. */
export class NotADirectoryError extends Error {
  override readonly name = "NotADirectoryError";
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
// A pipe without a writer would otherwise block the whole program.
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Opens a directory by a trusted path, such as the state directory's; never one from a job.
 *
 * @throws {NotADirectoryError} If the last part is a link, or not a directory.
 * @throws {Deno.errors.NotFound} If it does not exist.
 */
export function openDirectory(path: string): Directory {
  return new Directory(openAsDirectory(path, path), path);
}

/** An open directory. Names are single: without a slash, neither `.` nor `..`. */
export class Directory implements Disposable {
  #fd: number | undefined;
  /** The path by which it was opened, for messages. */
  readonly path: string;

  /** Use {@linkcode openDirectory}. */
  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  /**
   * Returns a path to `name` through the descriptor. It does not protect the name itself: use it
   * only for calls that do not follow links.
   */
  at(name: string): string {
    return `${this.#via()}/${checked(name)}`;
  }

  /** Lists the entries, in no order. */
  entries(): readonly { readonly name: string; readonly kind: EntryKind }[] {
    return [...Deno.readDirSync(this.#via())]
      .map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  }

  /**
   * Returns true if it has too many entries to hold in memory: a million and more, so that its own
   * record on disk is larger than 64 MiB.
   */
  isHuge(): boolean {
    return Deno.statSync(`${this.#via()}/.`).size > HUGE_BYTES;
  }

  /** Returns the kind of an entry; `undefined` if it does not exist. */
  look(name: string): EntryKind | undefined {
    const stat = this.stat(name);
    return stat === undefined ? undefined : kindOf(stat);
  }

  /** Returns the status of an entry, without following a link; `undefined` if it does not exist. */
  stat(name: string): Deno.FileInfo | undefined {
    try {
      return Deno.lstatSync(this.at(name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /**
   * Opens a directory in this one.
   *
   * @throws {NotADirectoryError} If it is a link, or not a directory.
   * @throws {Deno.errors.NotFound} If it does not exist.
   */
  directory(name: string): Directory {
    const path = `${this.path}/${name}`;
    return new Directory(openAsDirectory(this.at(name), path), path);
  }

  /** Opens a directory in this one, creating it if needed. */
  makeDirectory(name: string, mode = 0o755): Directory {
    try {
      Deno.mkdirSync(this.at(name), { mode });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    return this.directory(name);
  }

  /**
   * Opens a regular file for reading.
   *
   * @returns `undefined` if the name is missing, or a link, directory, pipe or device.
   * @throws {Deno.errors.PermissionDenied} If it is not readable.
   */
  file(name: string): FileReader | undefined {
    const path = this.at(name);
    let fd: number;
    try {
      // Opening a device can have effects; the check below catches what is swapped in between.
      if (!Deno.lstatSync(path).isFile) return undefined;
      fd = openSync(path, FILE);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || NOT_A_FILE.has(codeOf(error))) return undefined;
      if (codeOf(error) === "EACCES" || codeOf(error) === "EPERM") {
        throw new Deno.errors.PermissionDenied(`Not readable: "${name}"`, { cause: error });
      }
      throw error;
    }
    const stat = fstatSync(fd);
    if (stat.isFile()) return new FileReader(fd, stat);
    closeSync(fd);
    return undefined;
  }

  /**
   * Creates a file from pieces; on failure, removes it.
   *
   * @param mode Exactly this, whatever the umask.
   * @returns The number of bytes written.
   * @throws {Deno.errors.AlreadyExists} If the name exists.
   */
  async writeFile(
    name: string,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    mode: number,
  ): Promise<number> {
    const fd = openNew(this.at(name), name);
    let size = 0;
    try {
      for await (const piece of pieces) {
        for (let at = 0; at < piece.length;) at += await writeOnce(fd, piece.subarray(at));
        size += piece.length;
      }
      fchmodSync(fd, mode);
    } catch (error) {
      this.remove(name);
      throw error;
    } finally {
      closeSync(fd);
    }
    return size;
  }

  /** Opens the same directory a second time. */
  again(): Directory {
    return new Directory(openAsDirectory(`${this.#via()}/.`, this.path), this.path);
  }

  /**
   * Moves an entry here from another directory of the same file system, as it is; replaces a file.
   */
  take(name: string, from: Directory, fromName = name): void {
    const source = from.at(fromName);
    try {
      Deno.renameSync(source, this.at(name));
    } catch (error) {
      // A directory that is not writable cannot be moved.
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      const stat = from.stat(fromName);
      if (stat?.isDirectory !== true) throw error;
      Deno.chmodSync(source, 0o700);
      Deno.renameSync(source, this.at(name));
      using moved = this.directory(name);
      if (moved.#fd !== undefined && stat.mode !== null) fchmodSync(moved.#fd, stat.mode & 0o7777);
    }
  }

  /** Hard-links a file here from another directory of the same file system. */
  link(name: string, from: Directory, fromName = name): void {
    Deno.linkSync(from.at(fromName), this.at(name));
  }

  /** Removes a file, a link or an empty directory, if it exists. */
  remove(name: string): void {
    try {
      Deno.removeSync(this.at(name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  #via(): string {
    if (this.#fd === undefined) throw new TypeError(`The directory "${this.path}" is closed`);
    // Without /proc, the checks at opening are the only protection.
    return Deno.build.os === "linux" ? `/proc/self/fd/${this.#fd}` : this.path;
  }
}

const HUGE_BYTES = 64 * 1024 * 1024;

const NOT_A_FILE: ReadonlySet<string | undefined> = new Set([
  "ENOENT",
  "ENOTDIR",
  "ELOOP",
  "ENXIO",
  "EISDIR",
]);

function kindOf({ isFile, isDirectory, isSymlink }: Omit<Deno.DirEntry, "name">): EntryKind {
  return isFile ? "file" : isDirectory ? "directory" : isSymlink ? "link" : "other";
}

function openAsDirectory(path: string, shown: string): number {
  try {
    return openSync(path, DIRECTORY);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") {
      throw new Deno.errors.NotFound(`No directory "${shown}"`, { cause: error });
    }
    if (code === "ELOOP" || code === "ENOTDIR") {
      throw new NotADirectoryError(`"${shown}" is a link, or not a directory`, { cause: error });
    }
    if (code === "EACCES") {
      throw new Deno.errors.PermissionDenied(`Not readable: "${shown}"`, { cause: error });
    }
    throw error;
  }
}

function openNew(path: string, name: string): number {
  try {
    return openSync(path, NEW_FILE, 0o600);
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      throw new Deno.errors.AlreadyExists(`The name "${name}" exists`, { cause: error });
    }
    throw error;
  }
}

function writeOnce(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

function checked(name: string): string {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw new RangeError(`Cannot look up ${JSON.stringify(name)}: it is not a single name`);
  }
  return name;
}
