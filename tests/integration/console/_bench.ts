/**
 * A real runner that is linked to a fake console.
 *
 * @module
 */
import {
  type ConsoleOptions,
  type FakeConsole,
  startConsole,
} from "../../support/console/fake_console.ts";
import type { Instance } from "../../support/console/instances.ts";
import type { AgentSocket } from "../../support/console/agent_socket.ts";
import { pause, RunnerBench } from "../../support/runner_process.ts";

/** Options for {@linkcode linkedBench}. */
export interface LinkedOptions {
  /** Of the configuration, below `console:`; replaces the bench's own of the same name. */
  readonly keys?: Readonly<Record<string, string>>;
  /** More of the configuration. */
  readonly config?: string;
  readonly console?: ConsoleOptions;
  readonly env?: Readonly<Record<string, string>>;
  /** Called before the runner starts. */
  readonly prepare?: (console: FakeConsole, instance: Instance) => void;
}

/** What the runner says about its link, as far as tests look. */
export interface LinkStatus {
  readonly state: string;
  readonly detail: string;
  readonly instance_id: string | null;
  readonly registration: { readonly state: string } | null;
  readonly warnings: readonly string[];
  readonly refused_frames: number;
  readonly unusable_frames: number;
  readonly refused_requests: number;
}

/** A runner and its console. */
export class LinkedBench implements AsyncDisposable {
  readonly console: FakeConsole;
  readonly runner: RunnerBench;
  readonly instance: Instance;

  constructor(console: FakeConsole, runner: RunnerBench, instance: Instance) {
    this.console = console;
    this.runner = runner;
    this.instance = instance;
  }

  /** Waits for the link. */
  connected(): Promise<AgentSocket> {
    return this.console.connected(this.instance);
  }

  /** Asks the runner for its link. */
  async status(): Promise<LinkStatus> {
    return (await this.runner.json("GET", "/v1/console")).body;
  }

  /** Waits until the runner says something about its link. */
  async until(what: string, check: (status: LinkStatus) => boolean): Promise<LinkStatus> {
    const deadline = Date.now() + 20_000;
    while (true) {
      const status = await this.status();
      if (check(status)) return status;
      if (Date.now() > deadline) {
        throw new Error(`It is not so that ${what}: ${JSON.stringify(status)}`);
      }
      await pause(20);
    }
  }

  /** Waits until the runner names a state of its link. */
  state(state: string): Promise<LinkStatus> {
    return this.until(`the link is ${state}`, (status) => status.state === state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runner[Symbol.asyncDispose]();
    await this.console[Symbol.asyncDispose]();
  }
}

/** Starts a console, and a runner that is to connect to it. */
export async function linkedBench(options: LinkedOptions = {}): Promise<LinkedBench> {
  const console = await startConsole(options.console);
  const instance = console.instances.add("web");
  options.prepare?.(console, instance);
  const keys = { ...linkKeys(console, instance), ...options.keys };
  const lines = Object.entries(keys).map(([name, value]) => `  ${name}: ${value}`);
  const runner = new RunnerBench({
    config: `executor: direct\nagents: child\n${options.config ?? ""}console:\n${
      lines.join("\n")
    }\n`,
    env: { CONSOLE_KEY: console.key, ...options.env },
    idleExit: "60s",
  });
  const bench = new LinkedBench(console, runner, instance);
  try {
    await runner.start();
    return bench;
  } catch (error) {
    await bench[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns the keys of a link to a console, whose periods are short. */
export function linkKeys(console: FakeConsole, instance: Instance): Record<string, string> {
  return {
    url: console.url,
    api_key: "env:CONSOLE_KEY",
    instance_id: instance.id,
    provider: "fly",
    heartbeat: "200ms",
    metrics: "200ms",
  };
}

/** Returns a configuration with a console. */
export function linkConfig(keys: Readonly<Record<string, string>>, more = ""): string {
  const lines = Object.entries(keys).map(([name, value]) => `  ${name}: ${value}\n`);
  return `executor: direct\nagents: child\n${more}console:\n${lines.join("")}`;
}
