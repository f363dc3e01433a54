/**
 * Disk space held back for what must be recorded on a full disk: cancels, ends and removals.
 *
 * @module
 */
import { constants, ftruncateSync, writeSync } from "node:fs";
import { isDiskFull, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";
import { openOwnFile } from "@lib/foundations/store/own_file.ts";

const RESERVE_BYTES = 1024 * 1024;
/** Room for the files of jobs that start, besides the reserve. */
const ROOM_BYTES = 256 * 1024;
/** The most random bytes that one call makes. */
const BLOCK_BYTES = 64 * 1024;

/** The file `reserve` of a state directory; given up once the disk is full, held again before work starts. */
export class Reserve {
  readonly #stateDir: string;
  readonly #path: string;
  #isHeld: boolean;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#path = `${stateDir}/reserve`;
    this.#isHeld = allocated(this.#path) >= RESERVE_BYTES;
  }

  /** Runs `body`, and again in the space of the reserve if the disk is full. */
  readonly urgently = <T>(body: () => T): T => {
    try {
      return body();
    } catch (error) {
      if (!isDiskFull(error) || !this.#isHeld) throw error;
      this.#giveUp();
      return body();
    }
  };

  /** Holds the reserve again if it was given up; returns why no work may start, if the disk is full. */
  problem(): string | undefined {
    const { freeBytes } = diskSpace(this.#stateDir);
    const needed = ROOM_BYTES + (this.#isHeld ? 0 : RESERVE_BYTES);
    if (freeBytes < needed) {
      return this.#full(`${formatSize(freeBytes)} free, ${formatSize(needed)} needed`);
    }
    return this.#isHeld ? undefined : this.#hold();
  }

  #full(why: string): string {
    return `the disk is full: the file system of "${this.#stateDir}" has no room for a job ` +
      `(${why}); free some space, such as with 'cicd-runner clean'`;
  }

  /** @returns The problem, if it cannot be held. */
  #hold(): string | undefined {
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
      using file = openOwnFile(this.#path, flags);
      for (let size = 0; size < RESERVE_BYTES; size += BLOCK_BYTES) {
        // File systems compress everything else.
        const block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES));
        for (let at = 0; at < block.length;) at += writeSync(file.fd, block, at);
      }
      this.#isHeld = true;
      return undefined;
    } catch (error) {
      if (!isDiskFull(error)) {
        return `no space can be held back for a full disk in "${this.#path}" ` +
          `(${messageOf(error)}); remove what is there, or make it the account's own file`;
      }
      this.#giveUp();
      return this.#full(messageOf(error));
    }
  }

  #giveUp(): void {
    this.#isHeld = false;
    try {
      using file = openOwnFile(this.#path, constants.O_WRONLY);
      ftruncateSync(file.fd);
    } catch (error) {
      // Somebody has removed or replaced it: its space is free as well.
      if (error instanceof Error && "code" in error && error.code !== "ENOENT") throw error;
    }
  }
}

function allocated(path: string): number {
  try {
    const { isFile, blocks, size } = Deno.lstatSync(path);
    return isFile ? Math.min(size, (blocks ?? 0) * 512) : 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
