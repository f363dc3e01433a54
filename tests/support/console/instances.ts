/**
 * The console's table of instances, with its rules for names, ids and states.
 *
 * @module
 */
import type { Registration } from "./registration_rules.ts";

/** The state of an instance, as far as a link changes it. */
export type InstanceStatus = "RUNNING" | "STOPPED" | "ERROR" | "UNKNOWN" | "DESTROYED";

/** A row. */
export interface Instance {
  readonly id: string;
  readonly name: string;
  provider: string;
  region: string | undefined;
  distro: string | undefined;
  extensions: readonly string[];
  status: InstanceStatus;
  /** Until when the key that says "online" lasts, in milliseconds. */
  onlineUntil: number;
}

/** A table of instances. */
export class Instances {
  readonly #rows: Instance[] = [];
  readonly #ttlMs: number;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get all(): readonly Instance[] {
    return this.#rows;
  }

  byId(id: string): Instance | undefined {
    return this.#rows.find((row) => row.id === id);
  }

  /** Adds an instance that a person deployed. */
  add(name: string, status: InstanceStatus = "STOPPED"): Instance {
    const row: Instance = {
      id: cuid(),
      name,
      provider: "fly",
      region: undefined,
      distro: undefined,
      extensions: [],
      status,
      onlineUntil: 0,
    };
    this.#rows.push(row);
    return row;
  }

  /**
   * Stores a registration: into the row of that name whose status is neither `DESTROYED` nor
   * `ERROR`, else into a new row with a new id.
   */
  register(registration: Registration): Instance {
    const { instanceId, hostname, provider, region, distro, extensions } = registration;
    const name = this.byId(instanceId)?.name ?? hostname ?? instanceId;
    const row =
      this.#rows.find((one) =>
        one.name === name && one.status !== "DESTROYED" && one.status !== "ERROR"
      ) ?? this.add(name);
    Object.assign(row, { provider, region, distro, extensions, status: "RUNNING" });
    return row;
  }

  /** Notes a connection. */
  connected(id: string, now: number): void {
    const row = this.byId(id);
    if (row === undefined) return;
    if (row.status === "STOPPED") row.status = "RUNNING";
    row.onlineUntil = now + this.#ttlMs;
  }

  /** Notes a heartbeat. */
  beat(id: string, now: number): void {
    const row = this.byId(id);
    if (row === undefined) return;
    if (row.status === "ERROR" || row.status === "UNKNOWN") row.status = "RUNNING";
    row.onlineUntil = now + this.#ttlMs;
  }

  /** Notes the end of a connection. */
  closed(id: string): void {
    const row = this.byId(id);
    if (row?.status === "RUNNING") row.status = "ERROR";
  }
}

/** Returns an id of the shape that the console's database gives. */
function cuid(): string {
  const random = crypto.getRandomValues(new Uint8Array(24));
  return `c${[...random].map((byte) => (byte % 36).toString(36)).join("")}`;
}
