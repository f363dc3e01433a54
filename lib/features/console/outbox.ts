/**
 * Messages that wait for the console, or were sent but may still be lost.
 *
 * The console acknowledges heartbeats only, and takes messages in order: what was sent before a
 * heartbeat is settled once that is acknowledged. Until then it is kept, and sent again after an
 * unclean end. What is not listed in {@linkcode POLICIES} is not kept at all.
 *
 * @module
 */
import type { Payload } from "@lib/features/console/wire.ts";

/** How a type of message is kept; the oldest is dropped for the newest. */
interface Policy {
  readonly max: number;
  /** Older ones are of no use to the console. */
  readonly maxAgeMs: number;
}

const HOUR_MS = 3_600_000;

/** The types that are kept while there is no link. */
const POLICIES = {
  metrics: { max: 60, maxAgeMs: HOUR_MS },
  event: { max: 256, maxAgeMs: 24 * HOUR_MS },
  // The console waits for a result 5 s longer than for the command.
  "command:result": { max: 64, maxAgeMs: 60_000 },
} as const satisfies Readonly<Record<string, Policy>>;

/** A type that is kept. */
export type KeptType = keyof typeof POLICIES;

/** Returns true for a type that is kept. */
export function isKept(type: string): type is KeptType {
  return Object.hasOwn(POLICIES, type);
}

/** A message on its way. */
export interface Message {
  readonly type: string;
  readonly payload: Payload;
  /** When it was made. */
  readonly at: number;
  /** Called when the console has it for certain. Such a message is not sent again from here. */
  readonly onSettled?: () => void;
}

/** Figures of one type. */
export interface TypeCounts {
  sent: number;
  dropped: number;
}

/** The bounded outbox. */
export class Outbox {
  readonly #counts = new Map<string, TypeCounts>();
  #waiting: Message[] = [];
  #unsettled: Message[] = [];
  /** How many of the unsettled were sent before the last heartbeat. */
  #barrier = 0;

  /** Messages that wait, or are not settled yet. */
  get held(): number {
    return this.#waiting.length + this.#unsettled.length;
  }

  /** Messages since the start, by type. */
  get counts(): ReadonlyMap<string, Readonly<TypeCounts>> {
    return this.#counts;
  }

  /** Keeps a message; drops the oldest of its type when there are too many. */
  add(type: KeptType, payload: Payload, at: number): void {
    this.#waiting.push({ type, payload, at });
    this.#trim(at);
  }

  /** Takes out the oldest message, to be sent now; it is kept until it is settled. */
  take(now: number): Message | undefined {
    this.#trim(now);
    const next = this.#waiting.shift();
    if (next !== undefined) this.sent(next);
    return next;
  }

  /** Notes a message that was sent. */
  sent(message: Message): void {
    this.#count(message.type).sent++;
    if (isKept(message.type) || message.onSettled !== undefined) {
      this.#unsettled.push(message);
      // Without acknowledgements the link ends soon; until then the oldest are taken as settled.
      while (this.#unsettled.length > MAX_UNSETTLED || sizeOf(this.#unsettled) > MAX_CHARS) {
        this.#settle(1);
      }
    }
  }

  /** Counts a message that is lost. */
  drop(type: string): void {
    this.#count(type).dropped++;
  }

  /** A heartbeat was sent. */
  mark(): void {
    this.#barrier = this.#unsettled.length;
  }

  /** The last heartbeat was acknowledged. */
  acknowledged(): void {
    this.#settle(this.#barrier);
  }

  /** The link has ended; after a clean end the console has all that was sent. */
  ended({ isClean }: { readonly isClean: boolean }, now: number): void {
    if (isClean) return this.#settle(this.#unsettled.length);
    this.#waiting.unshift(
      ...this.#unsettled.filter(({ onSettled }) => onSettled === undefined),
    );
    this.#unsettled = [];
    this.#barrier = 0;
    this.#trim(now);
  }

  #settle(count: number): void {
    for (const { onSettled } of this.#unsettled.splice(0, count)) onSettled?.();
    this.#barrier = Math.max(0, this.#barrier - count);
  }

  #trim(now: number): void {
    const kept = new Map<string, number>();
    const remaining: Message[] = [];
    let chars = 0;
    for (const message of this.#waiting.toReversed()) {
      const { type, at } = message;
      const policy: Policy | undefined = isKept(type) ? POLICIES[type] : undefined;
      const number = (kept.get(type) ?? 0) + 1;
      chars += sizeOf([message]);
      const isTooMuch = number > (policy?.max ?? 0) || chars > MAX_CHARS;
      if (policy === undefined || isTooMuch || now - at > policy.maxAgeMs) {
        this.drop(type);
        continue;
      }
      kept.set(type, number);
      remaining.push(message);
    }
    this.#waiting = remaining.reverse();
  }

  #count(type: string): TypeCounts {
    let counts = this.#counts.get(type);
    if (counts === undefined) this.#counts.set(type, counts = { sent: 0, dropped: 0 });
    return counts;
  }
}

const MAX_UNSETTLED = 1_024;
/** Text of all messages that wait, and of all that are not settled: outputs of commands are long. */
const MAX_CHARS = 8 * 1024 * 1024;

function sizeOf(messages: readonly Message[]): number {
  return messages.flatMap(({ payload }) => Object.values(payload))
    .reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 0), 0);
}
