/**
 * The console link: one connection after another, never two.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { toRfc3339 } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import type { UsageSource } from "@lib/api/usage_source.ts";
import { DecorrelatedBackoff } from "@lib/features/console/backoff.ts";
import { eventPayload, type EventType } from "@lib/features/console/events.ts";
import type { ConsoleHandler } from "@lib/features/console/handler.ts";
import {
  heartbeatPayload,
  type HostReading,
  metricsPayload,
} from "@lib/features/console/metrics.ts";
import { Outbox } from "@lib/features/console/outbox.ts";
import {
  identify,
  type Identity,
  register,
  type RegistrationPorts,
} from "@lib/features/console/registration.ts";
import { type DialConsole, Session, type SessionChannel } from "@lib/features/console/session.ts";
import { type Fault, faultOfOwn, faultOfSession, shorten } from "@lib/features/console/faults.ts";
import type { ConsoleState } from "@lib/features/console/states.ts";
import { nextUsageBatch } from "@lib/features/console/usage.ts";
import type { Inbound } from "@lib/features/console/wire.ts";

/** A connection that is cut before that gets no registration, which would make a second instance. */
const REGISTER_AFTER_MS = 1_000;

/** Time for terminals and commands to end. */
const HANDLERS_MS = 5_000;
const SHUTDOWN = "agent shutdown";

/** The means of the link. */
export interface LinkPorts extends RegistrationPorts {
  readonly dial: DialConsole;
  readonly handlers: readonly ConsoleHandler[];
  readonly reading: () => Promise<HostReading>;
  readonly usage: () => Promise<UsageSource | undefined>;
  readonly random?: () => number;
}

/** The link as others see it. */
export interface LinkView {
  readonly state: ConsoleState;
  readonly detail: string;
  /** When the state began. */
  readonly since: number;
  readonly instanceId: string;
  readonly registration: { readonly state: RegistrationState; readonly detail: string };
  readonly acknowledgedAt: number | undefined;
  readonly nextTryAt: number | undefined;
  /** Connections that were good. */
  readonly connections: number;
  readonly refusedFrames: number;
  readonly unusableFrames: number;
  readonly messages: ReadonlyMap<string, { readonly sent: number; readonly dropped: number }>;
  readonly waiting: number;
}

/** The result of the registration. */
export type RegistrationState = "pending" | "done" | ConsoleState;

/** The link. */
export class ConsoleLink {
  readonly #ports: LinkPorts;
  readonly #outbox = new Outbox();
  readonly #backoff: DecorrelatedBackoff;
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #startedAt: number;
  readonly #usageUnderWay = new Set<number>();
  #usage: UsageSource | undefined;
  #session: Session | undefined;
  #identity: Identity | undefined;
  #isRegistered = false;
  #wasUnclean = false;
  #wasSilent = false;
  #isFaulty = false;
  /** The handlers were closed for good. */
  #hasClosed = false;
  #readings: { readonly now?: HostReading; readonly before?: HostReading } = {};
  #state: Pick<LinkView, "state" | "detail" | "since">;
  #registration: LinkView["registration"] = { state: "pending", detail: "" };
  #acknowledgedAt: number | undefined;
  #nextTryAt: number | undefined;
  #connections = 0;
  #refusedFrames = 0;
  #unusableFrames = 0;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
    this.#backoff = new DecorrelatedBackoff(ports.random);
    this.#startedAt = ports.clock.now();
    this.#state = { state: "connecting", detail: "", since: this.#startedAt };
  }

  /** The link as it is now. */
  get view(): LinkView {
    return {
      ...this.#state,
      instanceId: this.#identity?.id ?? this.#ports.settings.instanceId,
      registration: this.#registration,
      acknowledgedAt: this.#acknowledgedAt,
      nextTryAt: this.#nextTryAt,
      connections: this.#connections,
      refusedFrames: this.#refusedFrames,
      unusableFrames: this.#unusableFrames,
      messages: this.#outbox.counts,
      waiting: this.#outbox.held,
    };
  }

  /** Tells the console of an event, now or when it is there again. */
  tell(type: EventType, message: string, metadata?: Readonly<Record<string, string>>): void {
    const { clock } = this.#ports;
    const instanceId = this.view.instanceId;
    const at = clock.now();
    const options = { instanceId, at, message, ...(metadata === undefined ? {} : { metadata }) };
    this.#outbox.add("event", eventPayload(type, options), at);
    this.#session?.pump();
  }

  /** Connects again and again, until {@linkcode stop}, or the signal breaks everything off. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const waits = AbortSignal.any([signal, this.#stop.signal]);
    try {
      while (!waits.aborted) {
        const fault = await this.#try(signal).catch((error: unknown) => {
          if (waits.aborted) throw error;
          return faultOfOwn(error);
        });
        if (waits.aborted) return;
        const delayMs = Math.max(this.#backoff.next(fault.pace), fault.retryAfterMs ?? 0);
        this.#nextTryAt = clock.now() + delayMs;
        this.#enter(fault.state, fault.detail);
        await clock.sleep(delayMs, { signal: waits });
        this.#nextTryAt = undefined;
      }
    } catch (error) {
      if (!waits.aborted) throw error;
    } finally {
      this.#nextTryAt = undefined;
      this.#enter("stopped", "");
      this.#ended.resolve();
    }
  }

  /** Ends the link in order; resolves when nothing is left of it. */
  async stop(signal: AbortSignal): Promise<void> {
    this.#enter("stopping", "");
    if (this.#session !== undefined) this.tell("DISCONNECT", "The runner stops");
    const session = this.#session;
    this.#stop.abort(new DOMException("The console link stops", "AbortError"));
    await session?.finish(SHUTDOWN, signal);
    // A command may go on without a connection.
    await this.#closeHandlers(SHUTDOWN, signal, true);
    await this.#ended.promise;
  }

  /** Makes one connection. @returns Why it ended. */
  async #try(signal: AbortSignal): Promise<Fault> {
    const { clock, settings, dial, handlers, log } = this.#ports;
    const waits = AbortSignal.any([signal, this.#stop.signal]);
    if (this.#identity === undefined) {
      this.#begin("registering");
      const found = await identify(this.#ports, waits);
      if ("pace" in found) return found;
      this.#identity = found;
      if (found.known === undefined) this.#registered();
    }
    this.#begin("connecting");
    const { id } = this.#identity;
    this.#usage ??= await this.#ports.usage();
    const session = new Session({
      instanceId: id,
      dial,
      outbox: this.#outbox,
      handlers,
      closeHandlers: (...how) => this.#closeHandlers(...how),
      clock,
      log,
      heartbeatMs: settings.heartbeatMs,
      heartbeat: () => this.#heartbeat(id),
      onAcknowledged: (isFirst) => this.#acknowledged(isFirst),
      onKept: () => this.#session?.pump(),
      onFrame: (kind, what) => this.#onFrame(kind, what),
      whileGood: {
        metrics: (channel, own) => this.#sendMetrics(id, channel, own),
        registration: (_channel, own) => this.#register(own),
        usage: (channel, own) => this.#sendUsage(channel, own),
      },
      flush: (channel) => this.#flushUsage(channel),
      isRenewed: this.#wasUnclean,
    });
    this.#session = session;
    waits.throwIfAborted();
    const facts = await session.run(signal).finally(() => {
      this.#session = undefined;
      this.#usageUnderWay.clear();
    });
    const { end, cause, wasOpen } = facts;
    this.#wasUnclean = wasOpen && (cause === "silent" || end.kind === "broken");
    this.#wasSilent ||= cause === "silent";
    const fault = faultOfSession(facts, clock.now());
    // The console may have forgotten it, or its row is another one now.
    if (fault.state === "unknown_instance") this.#identity = undefined;
    return fault;
  }

  async #closeHandlers(reason: string, signal: AbortSignal, isFinal: boolean): Promise<void> {
    const { handlers } = this.#ports;
    if (this.#hasClosed || handlers.length === 0) return;
    this.#hasClosed = isFinal;
    using deadline = withDeadline(signal, HANDLERS_MS, "terminals and commands of the console");
    const closing = Promise.all(handlers.map((each) => each.close(reason, deadline, isFinal)));
    await raceAbort(closing, deadline).catch(ignore("the link ends all the same"));
  }

  async #heartbeat(instanceId: string) {
    const { clock, settings } = this.#ports;
    const now = await this.#ports.reading();
    const at = clock.now();
    const own = { instanceId, at, uptimeMs: at - this.#startedAt, distro: settings.distro };
    const payload = heartbeatPayload(own, now, this.#readings.now);
    this.#readings = { now, ...(this.#readings.now ? { before: this.#readings.now } : {}) };
    return payload;
  }

  async #sendMetrics(
    instanceId: string,
    channel: SessionChannel,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, settings, reading } = this.#ports;
    let before = await reading();
    while (true) {
      await clock.sleep(settings.metricsMs, { signal });
      const now = await reading();
      channel.send("metrics", metricsPayload(instanceId, now, before));
      before = now;
    }
  }

  /** Tells an instance that the console knew what it is now; that it cannot is no reason to leave. */
  async #register(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#ports;
    const backoff = new DecorrelatedBackoff(this.#ports.random);
    await clock.sleep(REGISTER_AFTER_MS, { signal });
    while (!this.#isRegistered && this.#identity !== undefined) {
      const { id } = this.#identity;
      const { fault, id: given } = await register(this.#ports, this.#identity, signal);
      if (fault === undefined) {
        this.#registered();
        if (given !== undefined && given !== id) {
          log.warning("The console keeps this instance twice; remove one of the two there", {
            instanceId: id,
            other: given,
          });
        }
        return;
      }
      const detail = this.#withoutKey(fault.detail);
      if (this.#registration.state !== fault.state) {
        log.warning("The console does not take the registration; the link works without it", {
          state: fault.state,
          detail,
        });
      }
      this.#registration = { state: fault.state, detail };
      await clock.sleep(Math.max(backoff.next(fault.pace), fault.retryAfterMs ?? 0), { signal });
    }
  }

  async #sendUsage(channel: SessionChannel, signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#ports;
    if (this.#usage === undefined) return;
    while (true) {
      await clock.sleep(settings.usageMs, { signal });
      await channel.drained(signal);
      this.#flushUsage(channel);
    }
  }

  #flushUsage(channel: SessionChannel): void {
    if (this.#usage === undefined) return;
    const { clock, log } = this.#ports;
    const onFailure = (error: unknown) =>
      log.error("Cannot read or mark the usage of language models; it may be sent again", {
        error,
      });
    try {
      const batch = nextUsageBatch(this.#usage, this.#usageUnderWay, clock.now(), onFailure);
      if (batch !== undefined) channel.post(batch);
    } catch (error) {
      onFailure(error);
    }
  }

  #acknowledged(isFirst: boolean): void {
    const { clock } = this.#ports;
    this.#acknowledgedAt = clock.now();
    if (!isFirst) return;
    this.#backoff.reset();
    this.#connections++;
    this.#enter("connected", "");
    this.tell("CONNECT", "The runner is connected");
    if (this.#wasSilent) this.tell("HEARTBEAT_RECOVERED", "Heartbeats are acknowledged again");
    this.#wasSilent = false;
  }

  #registered(): void {
    this.#isRegistered = true;
    this.#registration = { state: "done", detail: "" };
  }

  #onFrame(kind: Inbound["kind"], what: string): void {
    const { log } = this.#ports;
    if (kind === "forged") {
      if (this.#refusedFrames++ === 0) {
        log.warning("Refused a message that did not come from the console itself", { type: what });
      }
    } else if (kind === "unusable") {
      if (this.#unusableFrames++ === 0) {
        log.warning("The console sent an unusable frame", { reason: what });
      }
    }
  }

  /** A fault stays in view until the link is good again, not only until the next try. */
  #begin(state: ConsoleState): void {
    if (!this.#isFaulty) this.#enter(state, "");
  }

  #enter(state: ConsoleState, text: string): void {
    const { clock, log } = this.#ports;
    if (this.#stop.signal.aborted && state !== "stopped") return;
    const detail = this.#withoutKey(text);
    this.#isFaulty = this.#nextTryAt !== undefined;
    if (this.#state.state === state && this.#state.detail === detail) return;
    this.#state = { state, detail, since: clock.now() };
    const fields = { state, ...(detail === "" ? {} : { detail }) };
    const next = this.#nextTryAt;
    if (state === "connected") {
      log.info("Connected to the console", { instanceId: this.view.instanceId });
    } else if (next !== undefined && state !== "renewing") {
      log.warning("No link to the console; trying again", {
        ...fields,
        nextTryAt: toRfc3339(next),
      });
    } else log.debug("The console link changed", fields);
  }

  #withoutKey(text: string): string {
    return shorten(text.replaceAll(this.#ports.settings.apiKey.expose(), "[secret]"));
  }
}
