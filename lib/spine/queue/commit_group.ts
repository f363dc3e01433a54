/**
 * Stores the changes of a moment in one commit: while one waits for the disk, the next ones gather.
 *
 * @module
 */
import type { Job } from "@lib/spine/jobs/model.ts";

/** How long a change must last, see `Database.transaction`. */
export type Durability = "full" | "relaxed" | "urgent";

/** A change that needs no commit of its own. */
export interface GroupedChange<T> {
  readonly durability: Durability;
  /** Makes the change in the group's transaction; runs again if that fails. */
  readonly run: (changes: [Job, Job | undefined][]) => T;
}

/** When a group is stored. */
export interface GroupSchedule {
  /** Calls back once the events of this turn of the loop have been taken. */
  readonly soon: (store: () => void) => void;
  /** Calls back in some milliseconds: a change that need not last waits for others that long. */
  readonly later: (store: () => void) => void;
}

/** The schedule of a running program. */
export const COMMIT_SCHEDULE: GroupSchedule = {
  soon: (store) => void globalThis.setImmediate(store),
  later: (store) => void setTimeout(store, LATER_MS),
};

/** Most attempts of short jobs end within it. */
const LATER_MS = 10;

/** How a commit is made. */
export interface CommitOptions {
  readonly durability: Durability;
  /** Set: nothing but the change is stored, as more may be what failed. */
  readonly isAlone: boolean;
}

/** Options for {@linkcode CommitGroup}. */
export interface CommitGroupOptions {
  /** Stores all of it, or throws and stores nothing; what it returns tells of the changes. */
  readonly transaction: (
    body: (changes: [Job, Job | undefined][]) => void,
    options: CommitOptions,
  ) => () => void;
  /** If absent, each change is stored at once. */
  readonly schedule?: GroupSchedule | undefined;
}

interface Entry {
  readonly durability: Durability;
  readonly run: (changes: [Job, Job | undefined][]) => void;
  readonly stored: () => void;
  readonly failed: (error: unknown) => void;
}

/** The most changes of one commit, during which the event loop halts. */
const MAX_CHANGES = 32;

/** Gathers changes. */
export class CommitGroup {
  readonly #options: CommitGroupOptions;
  #waiting: Entry[] = [];
  #isDue = false;

  constructor(options: CommitGroupOptions) {
    this.#options = options;
  }

  /**
   * Stores a change with the next commit; resolves once it is on disk.
   *
   * One that fails fails alone: the others of its group are stored one by one, without successors.
   */
  add<T>({ durability, run }: GroupedChange<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let result: T;
      this.#waiting.push({
        durability,
        run: (changes) => void (result = run(changes)),
        stored: () => resolve(result),
        failed: reject,
      });
      this.#schedule(durability);
    });
  }

  #schedule(durability: Durability): void {
    const { schedule } = this.#options;
    if (schedule === undefined) return this.#store();
    if (this.#isDue) return;
    if (durability === "relaxed") return schedule.later(() => this.#store());
    this.#isDue = true;
    schedule.soon(() => {
      this.#isDue = false;
      this.#store();
    });
  }

  #store(): void {
    const group = this.#waiting.splice(0, MAX_CHANGES);
    const [first] = group;
    if (first === undefined) return;
    if (this.#waiting.length > 0) this.#schedule("full");
    const durability = group.every((each) => each.durability === first.durability)
      ? first.durability
      : "full";
    if (this.#commit(group, { durability, isAlone: false }) === undefined) return;
    for (const each of group) {
      const error = this.#commit([each], { durability: each.durability, isAlone: true });
      if (error !== undefined) each.failed(error.thrown);
    }
  }

  #commit(
    group: readonly Entry[],
    options: CommitOptions,
  ): { readonly thrown: unknown } | undefined {
    let tell: () => void;
    try {
      tell = this.#options.transaction((changes) => {
        for (const { run } of group) run(changes);
      }, options);
    } catch (thrown) {
      return { thrown };
    }
    try {
      tell();
      for (const { stored } of group) stored();
    } catch (error) {
      for (const { failed } of group) failed(error);
    }
    return undefined;
  }
}
