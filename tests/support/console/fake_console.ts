/**
 * A console on loopback, as strict as the live one, that records everything and can be told to
 * misbehave.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AgentSocket, Received } from "./agent_socket.ts";
import { Changes } from "./changes.ts";
import { Gateway } from "./gateway.ts";
import { type Instance, Instances } from "./instances.ts";
import { type LimiterOptions, StrictLimiter } from "./limiter.ts";
import { answerRest, type RestRequest } from "./rest.ts";
import type { Script } from "./script.ts";
import type { Fault } from "./verdict.ts";
import {
  type CommandOutcome,
  type CommandRequest,
  type ConsoleTerminal,
  ConsoleWork,
} from "./work.ts";

/** Options for {@linkcode startConsole}. */
export interface ConsoleOptions {
  /** @default {"console-key"} */
  readonly key?: string;
  readonly limiter?: LimiterOptions;
  /** How long a check of a key takes. @default {10} */
  readonly authMs?: number;
  /** How long the end of a replaced connection is waited for. @default {30000} */
  readonly closeTimeoutMs?: number;
  /** How long an instance counts as online after a heartbeat. @default {30000} */
  readonly onlineMs?: number;
}

/** A running console. */
export class FakeConsole implements AsyncDisposable {
  readonly key: string;
  readonly instances: Instances;
  readonly changes = new Changes();
  readonly requests: RestRequest[] = [];
  /** What was wrong with messages so far; empty after an agent that does everything right. */
  readonly faults: Fault[] = [];
  readonly script: Script = {
    register: undefined,
    lookup: undefined,
    upgrade: undefined,
    acknowledges: true,
  };
  /** The message that ended the console's process. */
  crash: Fault | undefined;
  readonly gateway: Gateway;
  readonly #server: Server;
  readonly #work = new ConsoleWork(this.changes);

  constructor(server: Server, options: ConsoleOptions) {
    const { key = "console-key", authMs = 10, closeTimeoutMs = 30_000, onlineMs = 30_000 } =
      options;
    this.key = key;
    this.#server = server;
    this.instances = new Instances(onlineMs);
    const common = { keys: new Set([key]), instances: this.instances, script: this.script };
    this.gateway = new Gateway({
      ...common,
      changes: this.changes,
      authMs,
      closeTimeoutMs,
      onFault: (fault) => this.#complain(fault),
      onMessage: (_, received) => this.#work.take(received),
      onGone: (id) => this.#work.lose(id),
    });
    const rest = {
      ...common,
      limiter: new StrictLimiter(options.limiter),
      onRequest: (request: RestRequest) => {
        this.requests.push(request);
        this.changes.notify();
      },
    };
    server.on("request", (request, response) => {
      if (this.crash !== undefined) return void request.socket.destroy();
      void answerRest(rest, request, response).catch((error) => response.destroy(error));
    });
    server.on("upgrade", (request: IncomingMessage, stream, head) => {
      if (this.crash !== undefined) return void stream.destroy();
      this.gateway.upgrade(request, stream, head);
    });
  }

  /** Such as `http://127.0.0.1:40123`. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The console is closed");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Waits until an agent's connection is in the registry and has sent its first heartbeat. */
  async connected(instance: Instance): Promise<AgentSocket> {
    return await this.changes.until(`${instance.name} is connected`, () => {
      const agent = this.gateway.agent(instance.id);
      return agent !== undefined && agent.of("heartbeat").length > 0 ? agent : undefined;
    });
  }

  /** Waits for the message of an agent that a check accepts. */
  async message(
    agent: AgentSocket,
    type: string,
    check: (message: Received) => boolean = () => true,
  ): Promise<Received> {
    return await this.changes.until(`${type} comes`, () => agent.of(type).find(check));
  }

  /** Runs a command on an instance. */
  run(instance: Instance, request: CommandRequest, graceMs?: number): Promise<CommandOutcome> {
    return this.#work.run(this.gateway.agent(instance.id), request, graceMs);
  }

  /** Runs a script on an instance. */
  runScript(instance: Instance, script: string, timeoutMs?: number): Promise<CommandOutcome> {
    return this.#work.runScript(this.gateway.agent(instance.id), script, timeoutMs);
  }

  /**
   * Opens a terminal on an instance.
   *
   * @throws {Error} If the console would answer 503, or does it without the agent.
   */
  openTerminal(
    instance: Instance,
    size?: { readonly cols: number; readonly rows: number },
  ): ConsoleTerminal {
    if (instance.provider === "docker") throw new Error("docker: the agent is not asked");
    if (Date.now() >= instance.onlineUntil) throw new Error("503: the instance is not online");
    const agent = this.gateway.agent(instance.id);
    if (agent === undefined) throw new Error(`Agent ${instance.id} is not connected`);
    return this.#work.open(agent, size);
  }

  #complain(fault: Fault): void {
    this.faults.push(fault);
    if (fault.harm === "crash") {
      this.crash ??= fault;
      this.gateway[Symbol.dispose]();
    }
    this.changes.notify();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gateway[Symbol.dispose]();
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    this.#server.closeAllConnections();
    await closed.promise;
  }
}

/** Starts a console on a free port of loopback. */
export async function startConsole(options: ConsoleOptions = {}): Promise<FakeConsole> {
  const server = createServer();
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  return new FakeConsole(server, options);
}
