/**
 * The inventory of the machine, taken once per boot by a process of its own.
 *
 * What finds it out starts programs and waits for them, so it runs outside of the runner, with a
 * deadline; the result is kept in the state directory, as the runner exits when idle.
 *
 * @module
 */
import * as v from "valibot";
import { raceAbort } from "@lib/core/abort.ts";
import type { Logger } from "@lib/core/logger.ts";
import { type Inventory, inventorySchema } from "@lib/foundations/host/inventory.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";

/** The deadline of the process. */
const INVENTORY_TIMEOUT_MS = 20_000;
/** After a failure, nothing is tried for this time. */
const REST_MS = 60_000;
const MAX_BYTES = 64 * 1024;

/** Options for {@linkcode HostInventory}. */
export interface HostInventoryOptions {
  /** The file that keeps it. */
  readonly records: {
    readonly read: () => Promise<string | undefined>;
    readonly write: (text: string) => Promise<void>;
  };
  /** The boot and the version for which a kept one is good. */
  readonly stamp: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly run: RunCommand;
  readonly now: () => number;
  readonly log: Logger;
  /** Ends the process. */
  readonly stopping: AbortSignal;
}

const keptSchema = v.object({ stamp: v.string(), inventory: inventorySchema });

/** Takes the inventory, and keeps it. */
export class HostInventory {
  readonly #options: HostInventoryOptions;
  #known: Inventory | undefined;
  #taking: Promise<Inventory | undefined> | undefined;
  #failedAt = -Infinity;

  constructor(options: HostInventoryOptions) {
    this.#options = options;
  }

  /** Returns the inventory; `undefined` if it cannot be had before `signal` aborts. */
  async get(signal: AbortSignal): Promise<Inventory | undefined> {
    if (this.#known !== undefined) return this.#known;
    if (this.#taking === undefined) {
      if (this.#options.now() < this.#failedAt + REST_MS) return undefined;
      this.#taking = this.#take().finally(() => this.#taking = undefined);
    }
    try {
      return await raceAbort(this.#taking, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }

  async #take(): Promise<Inventory | undefined> {
    const { records, stamp, command, env, run, now, log, stopping } = this.#options;
    try {
      const kept = v.safeParse(keptSchema, JSON.parse(await records.read() ?? "null"));
      if (kept.success && kept.output.stamp === stamp) return this.#known = kept.output.inventory;
    } catch (error) {
      log.debug("Cannot read the kept inventory; taking it anew", { error });
    }
    try {
      const { code, stdout } = await run([...command, "host", "--local", "--json"], {
        env,
        timeoutMs: INVENTORY_TIMEOUT_MS,
        maxBytes: MAX_BYTES,
        // Not that of whoever asks first: others wait too.
        signal: stopping,
      });
      if (code !== 0) throw new Error(`the process exited with code ${code}`);
      const inventory = v.parse(inventorySchema, JSON.parse(stdout));
      this.#known = inventory;
      await records.write(JSON.stringify({ stamp, inventory }));
      return inventory;
    } catch (error) {
      this.#failedAt = now();
      log.warning("Cannot take the inventory of the machine", { error });
      return this.#known;
    }
  }
}
