/**
 * Joins the console link with the runner.
 *
 * @module
 */
import type { LinkStatus, RunnerServices } from "@lib/api/feature.ts";
import { raceAbort } from "@lib/core/abort.ts";
import { toRfc3339 } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { CONSOLE_ALLOW } from "@lib/features/console/allow_keys.ts";
import type { ConsoleAnswer } from "@lib/features/console/answers.ts";
import { ConsoleCommands } from "@lib/features/console/console_commands.ts";
import { jobEvent } from "@lib/features/console/events.ts";
import type { ConsoleHandler } from "@lib/features/console/handler.ts";
import { hostReader } from "@lib/features/console/host_reading.ts";
import { askConsole, linkHeaders } from "@lib/features/console/http.ts";
import { CONSOLE } from "@lib/features/console/keys.ts";
import { ConsoleLink } from "@lib/features/console/link.ts";
import { Refusals } from "@lib/features/console/refusals.ts";
import { consoleArch } from "@lib/features/console/registration.ts";
import {
  type ConsoleSettings,
  type LinkSettings,
  readConsoleSettings,
} from "@lib/features/console/settings.ts";
import { ConsoleTerminals } from "@lib/features/console/console_terminals.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { readIfThere, writeAtomic } from "@lib/foundations/files/records.ts";
import { machineFiles } from "@lib/foundations/host/machine_files.ts";
import { detectPlatform } from "@lib/foundations/host/platform.ts";
import { dialMessages } from "@lib/foundations/http/message_socket.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** A 200 kB paste into a terminal comes as one frame of 267 kB. */
const MAX_RECEIVE_BYTES = 2 * 1024 * 1024;
const MAX_RECORD_BYTES = 4_096;

/** The link, as the configuration wants it. */
export class ConsoleService {
  readonly #services: RunnerServices;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #since: number;
  readonly #refusals: Refusals;
  #isStopping = false;
  #settings: ConsoleSettings = { kind: "off" };
  #link: ConsoleLink | undefined;
  /** Resolves when the configuration has changed. */
  #changed = Promise.withResolvers<void>();

  constructor(services: RunnerServices) {
    this.#services = services;
    this.#since = services.clock.now();
    this.#refusals = new Refusals(services.log);
  }

  /** Keeps the link until {@linkcode stop}; the signal breaks it off. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!this.#isStopping && !signal.aborted) {
        this.#changed = Promise.withResolvers();
        this.#settings = this.#read();
        this.#report(this.#settings);
        const { kind } = this.#settings;
        if (kind === "on") await this.#keepLink(this.#settings, signal);
        else await raceAbort(this.#changed.promise, signal);
      }
    } finally {
      this.#stopped.resolve();
    }
  }

  /** Ends the link in order; resolves when nothing is left of it. */
  async stop(signal: AbortSignal): Promise<void> {
    this.#isStopping = true;
    this.#changed.resolve();
    await this.#link?.stop(signal).catch(ignore("the runner stops all the same"));
    await raceAbort(this.#stopped.promise, signal);
  }

  /** Applies a changed configuration: a link with other settings is a new one. */
  reconfigured(): void {
    if (fingerprint(this.#read()) !== fingerprint(this.#settings)) this.#changed.resolve();
  }

  /** Tells the console of a job that ended badly. */
  onChange(job: Job, before: Job | undefined): void {
    const event = this.#link && jobEvent(job, before);
    if (event !== undefined) this.#link?.tell("ERROR", event.message, event.metadata);
  }

  /** The link in a status. */
  links(): readonly LinkStatus[] {
    if (this.#settings.kind === "off") return [];
    const { state, since, ...standing } = this.#standing();
    const { count, last } = this.#refusals;
    const refused = last === undefined ? "" : `Refused ${count} of its requests, at last: ${last}`;
    const detail = standing.detail || refused;
    return [{ name: "console", state, detail, since, isGood: state === "connected" }];
  }

  /** The link in full. */
  answer(): ConsoleAnswer {
    const view = this.#link?.view;
    const at = (ms: number | undefined) => ms === undefined ? null : toRfc3339(ms);
    const settings = this.#settings;
    const { state, detail, since } = this.#standing();
    return {
      state,
      detail,
      since: toRfc3339(since),
      url: settings.kind === "on" ? settings.url : null,
      instance_id: view?.instanceId ?? null,
      registration: view === undefined ? null : { ...view.registration },
      acknowledged_at: at(view?.acknowledgedAt),
      next_try_at: at(view?.nextTryAt),
      connections: view?.connections ?? 0,
      refused_frames: view?.refusedFrames ?? 0,
      unusable_frames: view?.unusableFrames ?? 0,
      waiting: view?.waiting ?? 0,
      messages: Object.fromEntries(
        [...view?.messages ?? []].map(([type, counts]) => [type, { ...counts }]),
      ),
      refused_requests: this.#refusals.count,
      last_refusal: this.#refusals.last ?? null,
      warnings: settings.kind === "on" ? [...settings.warnings] : [],
    };
  }

  #standing() {
    if (this.#link !== undefined) return this.#link.view;
    const settings = this.#settings;
    return settings.kind === "unusable"
      ? {
        state: "misconfigured" as const,
        detail: settings.problems.join("; "),
        since: this.#since,
      }
      : { state: "off" as const, detail: "", since: this.#since };
  }

  #read(): ConsoleSettings {
    const { config, env } = this.#services;
    return readConsoleSettings({
      config: config().of(CONSOLE),
      env,
      hostname: () => Deno.hostname(),
      platform: () => detectPlatform(env, machineFiles),
    });
  }

  #report(settings: ConsoleSettings): void {
    const { log } = this.#services;
    if (settings.kind === "unusable") {
      for (const problem of settings.problems) {
        log.error("The console link is off: a setting is unusable", { problem });
      }
    }
    if (settings.kind !== "on") return;
    for (const warning of settings.warnings) {
      log.warning("The settings of the console link may be wrong", { warning });
    }
  }

  #handlers(): readonly ConsoleHandler[] {
    const services = this.#services;
    const { config, clock, log, tasks, parts, env } = services;
    const common = {
      rules: () => config().of(CONSOLE_ALLOW),
      refusals: this.#refusals,
      tasks,
      clock,
    };
    return [
      new ConsoleCommands({ ...common, jobs: services, log }),
      new ConsoleTerminals({
        ...common,
        opener: async () => await parts().find((part) => part.terminalOpener)?.terminalOpener?.(),
        shell: env["SINDRI_AGENT_SHELL"] || undefined,
      }),
    ];
  }

  async #keepLink(settings: LinkSettings, signal: AbortSignal): Promise<void> {
    const { clock, log, config, parts } = this.#services;
    const { url, apiKey } = settings;
    const { stateDir } = config().of(PROGRAM);
    const path = `${stateDir}/console.json`;
    const link = new ConsoleLink({
      settings,
      ask: askConsole(settings),
      record: {
        read: () => readIfThere(path, MAX_RECORD_BYTES),
        write: (text) => writeAtomic(path, text),
      },
      platform: { os: Deno.build.os, arch: consoleArch(Deno.build.arch) },
      dial: (instanceId, listeners) =>
        dialMessages({
          url: `ws${url.slice("http".length)}/ws/agent`,
          headers: linkHeaders(apiKey.expose(), instanceId),
          maxReceiveBytes: MAX_RECEIVE_BYTES,
          ...listeners,
        }),
      handlers: this.#handlers(),
      reading: hostReader({ clock, cores: navigator.hardwareConcurrency }),
      usage: async () => await parts().find((part) => part.usageSource)?.usageSource?.(),
      clock,
      log,
    });
    this.#link = link;
    const running = link.run(signal);
    try {
      await Promise.race([running, this.#changed.promise]);
      // The runner's own stop is under way already.
      if (!this.#isStopping && !signal.aborted) await link.stop(signal);
      await running;
    } finally {
      this.#link = undefined;
    }
  }
}

function fingerprint(settings: ConsoleSettings): string {
  if (settings.kind !== "on") return JSON.stringify(settings);
  return JSON.stringify({ ...settings, apiKey: settings.apiKey.expose() });
}
