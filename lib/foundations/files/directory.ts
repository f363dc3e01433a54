/**
 * Directories that a hostile job owns, or owned.
 *
 * A path such as `work/dist/report` is looked up anew by every call, and a symbolic link in any
 * part of it leads elsewhere. A {@linkcode Directory} is held by its descriptor, and only single
 * names are looked up in it, never through a link: whatever is renamed or replaced meanwhile,
 * nothing outside is reached.
 *
 * @module
 */
import { closeSync, constants, fchmodSync, fstatSync, openSync, write } from "node:fs";
import { FileReader } from "@lib/foundations/files/file_reader.ts";

/** What a name in a directory stands for. */
export type EntryKind = "file" | "directory" | "link" | "other";

/** A name in a directory. */
export interface Entry {
  readonly name: string;
  readonly kind: EntryKind;
}

/** Something is in the way that may not be followed: a link, or what is no directory. */
export class NotADirectoryError extends Error {
  override readonly name = "NotADirectoryError";
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
// A pipe that nobody writes to would else block the whole program.
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Opens a directory by a path that is trusted: the state directory's, not one from a job.
 *
 * @throws {NotADirectoryError} If the last part is a link, or no directory.
 * @throws {Deno.errors.NotFound} If it is not there.
 */
export function openDirectory(path: string): Directory {
  return new Directory(openAsDirectory(path, path), path);
}

/** An open directory. Names are single ones: without a slash, neither `.` nor `..`. */
export class Directory implements Disposable {
  #fd: number | undefined;
  readonly #path: string;

  /** Use {@linkcode openDirectory}. @param path For messages. */
  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  /** Where the directory was when it was opened; for messages. */
  get path(): string {
    return this.#path;
  }

  /**
   * A path to `name` that leads through the descriptor. The name itself is not guarded: only for
   * calls that do not follow it.
   */
  at(name: string): string {
    return `${this.#via()}/${checked(name)}`;
  }

  /** The names in it, in no order. */
  entries(): readonly Entry[] {
    return [...Deno.readDirSync(this.#via())].map(({ name, isFile, isDirectory, isSymlink }) => ({
      name,
      kind: isFile ? "file" : isDirectory ? "directory" : isSymlink ? "link" : "other",
    }));
  }

  /**
   * Whether it has more names than can be held in memory at once: so many that its own record on
   * disk is larger than 64 MiB, which are a million and more.
   */
  isHuge(): boolean {
    return Deno.statSync(`${this.#via()}/.`).size > HUGE_BYTES;
  }

  /** What a name stands for; `undefined` if there is nothing. */
  look(name: string): EntryKind | undefined {
    const stat = this.stat(name);
    if (stat === undefined) return undefined;
    return stat.isFile
      ? "file"
      : stat.isDirectory
      ? "directory"
      : stat.isSymlink
      ? "link"
      : "other";
  }

  /** What is known of a name, a link not followed; `undefined` if there is nothing. */
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
   * @throws {NotADirectoryError} If it is a link, or no directory.
   * @throws {Deno.errors.NotFound} If it is not there.
   */
  directory(name: string): Directory {
    const path = `${this.#path}/${name}`;
    return new Directory(openAsDirectory(this.at(name), path), path);
  }

  /** As {@linkcode Directory.directory}; makes it if it is not there. */
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
   * @returns `undefined` if there is none of the name: a link, a directory, a pipe, a device.
   * @throws {Deno.errors.PermissionDenied} If it may not be read.
   */
  file(name: string): FileReader | undefined {
    const path = this.at(name);
    let fd: number;
    try {
      // Opening a device can have effects; the check again below is for what is swapped in between.
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
   * Makes a file of pieces; nothing is left of one that fails.
   *
   * @param mode Exactly this, whatever the process's mask.
   * @returns The bytes written.
   * @throws {Deno.errors.AlreadyExists} If the name is taken.
   */
  async writeFile(
    name: string,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    mode: number,
  ): Promise<number> {
    const fd = openNew(this.at(name), name);
    let size = 0;
    try {
      for await (const piece of pieces) size += await writeAll(fd, piece);
      fchmodSync(fd, mode);
    } catch (error) {
      this.remove(name);
      throw error;
    } finally {
      closeSync(fd);
    }
    return size;
  }

  /** A second hold on the same directory. */
  again(): Directory {
    return new Directory(openAsDirectory(`${this.#via()}/.`, this.#path), this.#path);
  }

  /** Moves what has a name in another directory of the same file system here; replaces a file. */
  take(name: string, from: Directory, fromName = name): void {
    const source = from.at(fromName);
    try {
      Deno.renameSync(source, this.at(name));
    } catch (error) {
      // A directory that may not be written to may not be moved either.
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      if (from.look(fromName) !== "directory") throw error;
      Deno.chmodSync(source, 0o700);
      Deno.renameSync(source, this.at(name));
    }
  }

  /** Gives a file of another directory of the same file system a second name here. */
  link(name: string, from: Directory, fromName = name): void {
    Deno.linkSync(from.at(fromName), this.at(name));
  }

  /** Removes a file, a link or an empty directory; what is not there is no error. */
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
    if (this.#fd === undefined) throw new TypeError(`The directory "${this.#path}" is closed`);
    // Where there is no such file system, the checks at opening are all there is.
    return Deno.build.os === "linux" ? `/proc/self/fd/${this.#fd}` : this.#path;
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

function openAsDirectory(path: string, shown: string): number {
  try {
    return openSync(path, DIRECTORY);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") {
      throw new Deno.errors.NotFound(`No directory "${shown}"`, { cause: error });
    }
    if (code === "ELOOP" || code === "ENOTDIR") {
      throw new NotADirectoryError(`"${shown}" is a link, or no directory`, { cause: error });
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
      throw new Deno.errors.AlreadyExists(`The name "${name}" is taken`, { cause: error });
    }
    throw error;
  }
}

async function writeAll(fd: number, piece: Uint8Array): Promise<number> {
  for (let at = 0; at < piece.length;) at += await writeOnce(fd, piece.subarray(at));
  return piece.length;
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
    throw new RangeError(`Cannot look up ${JSON.stringify(name)}: it is no single name`);
  }
  return name;
}
