/**
 * The masks of jobs' secrets: for their logs, and for every text about them that is kept or shown.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { JobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import {
  compilePatterns,
  compileSteps,
  maskText,
  type SecretPatterns,
} from "@lib/foundations/secrets/redactor.ts";
import { secretForms } from "@lib/foundations/secrets/secret_forms.ts";

/** Memory of the compiled patterns that are kept. */
const KEPT_BYTES = 64 * 1024 * 1024;
/** More characters of secrets than this are compiled one job at a time, as they take memory. */
const LARGE_CHARS = 8 * 1024;

/** Masks the secrets in a text. */
export type Mask = (text: string) => string;

/** Compiles the patterns of secrets, and lets other work go on meanwhile. */
export async function compileSecrets(
  secrets: ReadonlyMap<string, string>,
): Promise<SecretPatterns> {
  const steps = compileSteps(secretForms(secrets));
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

/** Compiles the secrets of jobs, and keeps the latest results. */
export class JobMasks {
  readonly #secretsOf: (job: Job) => ReadonlyMap<string, string>;
  readonly #compiling = new Map<JobId, Promise<SecretPatterns>>();
  /** The one that was used last comes last. */
  readonly #compiled = new Map<JobId, SecretPatterns>();
  /** The end of the compilation of large secrets. */
  #large: Promise<unknown> = Promise.resolve();

  /** @param secretsOf Returns the values of a job's secrets, by name. */
  constructor(secretsOf: (job: Job) => ReadonlyMap<string, string>) {
    this.#secretsOf = secretsOf;
  }

  /** Returns the mask for texts about a job; rejects if its secrets cannot be unsealed. */
  async maskOf(job: Job): Promise<Mask> {
    const patterns = await this.patternsOf(job);
    return (text) => maskText(patterns, text);
  }

  /** Returns the compiled secrets of a job; rejects if they cannot be unsealed. */
  async patternsOf(job: Job): Promise<SecretPatterns> {
    if (job.spec.secretNames.length === 0) return compilePatterns([]);
    const known = this.#compiled.get(job.id);
    if (known !== undefined) {
      this.#keep(job.id, known);
      return known;
    }
    const running = this.#compiling.get(job.id);
    if (running !== undefined) return await running;
    const compiling = this.#compile(job);
    this.#compiling.set(job.id, compiling);
    try {
      const patterns = await compiling;
      if (this.#compiling.get(job.id) === compiling) this.#keep(job.id, patterns);
      return patterns;
    } finally {
      if (this.#compiling.get(job.id) === compiling) this.#compiling.delete(job.id);
    }
  }

  /** Forgets what was compiled for a job: its secrets have changed. */
  forget(id: JobId): void {
    this.#compiled.delete(id);
    this.#compiling.delete(id);
  }

  async #compile(job: Job): Promise<SecretPatterns> {
    const secrets = this.#secretsOf(job);
    const chars = secrets.values().reduce((sum, { length }) => sum + length, 0);
    if (chars <= LARGE_CHARS) return await compileSecrets(secrets);
    const compiling = this.#large.then(() => compileSecrets(secrets));
    this.#large = Promise.allSettled([compiling]);
    return await compiling;
  }

  #keep(id: JobId, patterns: SecretPatterns): void {
    this.#compiled.delete(id);
    this.#compiled.set(id, patterns);
    let bytes = this.#compiled.values().reduce((sum, one) => sum + one.bytes, 0);
    for (const [oldest, one] of this.#compiled) {
      if (bytes <= KEPT_BYTES) return;
      this.#compiled.delete(oldest);
      bytes -= one.bytes;
    }
  }
}
