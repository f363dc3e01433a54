/**
 * The console link alone, whose time passes faster, beside a fake console.
 *
 * @module
 */
import { askConsole, linkHeaders } from "@lib/features/console/http.ts";
import type { ConsoleHandler } from "@lib/features/console/handler.ts";
import { ConsoleLink } from "@lib/features/console/link.ts";
import type { LinkSettings } from "@lib/features/console/settings.ts";
import type { ConsoleState } from "@lib/features/console/states.ts";
import { dialMessages } from "@lib/foundations/http/message_socket.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import { fastClock } from "../../support/console/fast_clock.ts";
import {
  type ConsoleOptions,
  type FakeConsole,
  startConsole,
} from "../../support/console/fake_console.ts";
import type { Instance } from "../../support/console/instances.ts";
import { RecordingLogger } from "../../support/recording_logger.ts";

const FACTOR = 20;
const MAX_RECEIVE_BYTES = 1024 * 1024;

/** Options for {@linkcode linkBench}. */
export interface LinkOptions {
  readonly console?: ConsoleOptions;
  readonly settings?: Partial<LinkSettings>;
  readonly handlers?: readonly ConsoleHandler[];
  /** Seconds of the link in one. @default {20} */
  readonly factor?: number;
  /** Called before the link starts. */
  readonly prepare?: (console: FakeConsole, instance: Instance) => void;
}

/** A link and its console. */
export class LinkBench implements AsyncDisposable {
  readonly link: ConsoleLink;
  readonly log: RecordingLogger;
  readonly console: FakeConsole;
  readonly instance: Instance;
  readonly #done: Promise<void>;
  readonly #cut = new AbortController();

  constructor(
    { link, log, console, instance }: Pick<LinkBench, "link" | "log" | "console" | "instance">,
  ) {
    this.link = link;
    this.log = log;
    this.console = console;
    this.instance = instance;
    this.#done = link.run(this.#cut.signal);
  }

  /** Waits for a state of the link. @returns What the link says of it. */
  async state(state: ConsoleState): Promise<string> {
    const deadline = Date.now() + 20_000;
    while (this.link.view.state !== state) {
      if (Date.now() > deadline) {
        const { state: other, detail } = this.link.view;
        throw new Error(`The state is ${other}, not ${state}: ${detail}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this.link.view.detail;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cut.abort(new DOMException("The test ends", "AbortError"));
    await this.#done;
    await this.console[Symbol.asyncDispose]();
  }
}

/** Starts a console and a link to it. */
export async function linkBench(options: LinkOptions = {}): Promise<LinkBench> {
  const { handlers = [], factor = FACTOR, prepare, settings: more = {} } = options;
  const console = await startConsole(options.console);
  const instance = console.instances.add("web");
  prepare?.(console, instance);
  const settings: LinkSettings = {
    kind: "on",
    url: console.url,
    apiKey: new Secret(console.key),
    instanceId: instance.id,
    provider: "fly",
    region: undefined,
    distro: undefined,
    heartbeatMs: 2_000,
    metricsMs: 2_000,
    usageMs: 2_000,
    tags: {},
    warnings: [],
    ...more,
  };
  const log = new RecordingLogger();
  const saved: { text?: string } = {};
  const link = new ConsoleLink({
    settings,
    ask: askConsole(settings),
    record: {
      read: () => Promise.resolve(saved.text),
      write(text) {
        saved.text = text;
        return Promise.resolve();
      },
    },
    clock: fastClock(factor),
    platform: { os: "linux", arch: "amd64" },
    dial: (instanceId, listeners) =>
      dialMessages({
        url: `${settings.url.replace("http", "ws")}/ws/agent`,
        headers: linkHeaders(settings.apiKey.expose(), instanceId),
        maxReceiveBytes: MAX_RECEIVE_BYTES,
        ...listeners,
      }),
    handlers,
    reading: () =>
      Promise.resolve({
        at: Date.now(),
        stat: "cpu  100 0 50 800 10 0 5 0 0 0\n",
        meminfo: "MemTotal: 8000 kB\nMemAvailable: 5000 kB\n",
        netDev: "",
        load: [0.5, 0.25, 0.1],
        cores: 2,
        disks: [],
      }),
    usage: () => Promise.resolve(undefined),
    log,
    random: () => 0.5,
  });
  return new LinkBench({ link, log, console, instance });
}
