/**
 * What a person at the console does: commands and terminals.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { AgentSocket, Received } from "./agent_socket.ts";
import type { Changes } from "./changes.ts";
import type { Json } from "./verdict.ts";
import { outputText } from "./work_rules.ts";

/** The console waits for a command's own limit and this. */
const GRACE_MS = 5_000;
const DEFAULT_TIMEOUT_MS = 30_000;

/** A command as the console sends it. */
export interface CommandRequest {
  readonly command: string;
  readonly args?: readonly string[];
  /** `K=V`. */
  readonly env?: readonly string[];
  readonly timeoutMs?: number;
}

/** What the console shows of a command. */
export type CommandOutcome =
  | {
    readonly kind: "answered";
    readonly stdout: string;
    readonly stderr: string;
    readonly exitCode: number;
    readonly durationMs: number;
  }
  /** The text cannot be stored. */
  | { readonly kind: "bad gateway" }
  | { readonly kind: "not connected" }
  | { readonly kind: "timed out" };

/** A terminal as the browser sees it. */
export class ConsoleTerminal {
  readonly sessionId = randomUUID();
  /** Decoded message by message, as the console does. */
  text = "";
  /** The size of the largest message, in bytes of base64. */
  largest = 0;
  messages = 0;
  closed: { readonly exitCode: number; readonly reason: unknown } | undefined;
  /** How often `terminal:closed` came. */
  endings = 0;
  /** Its agent's connection has gone. */
  isLost = false;
  readonly #agent: AgentSocket;

  constructor(agent: AgentSocket, size: { readonly cols: number; readonly rows: number }) {
    this.#agent = agent;
    this.#send("terminal:create", size);
  }

  /** Types a text. */
  type(text: string): void {
    const data = new TextEncoder().encode(text).toBase64();
    this.#send("terminal:input", { data });
  }

  resize(cols: number, rows: number): void {
    this.#send("terminal:resize", { cols, rows });
  }

  close(): void {
    this.#send("terminal:close", {});
  }

  /** Takes a message of this session. */
  take({ type, payload }: Received): void {
    if (type === "terminal:closed") {
      this.endings += 1;
      this.closed = { exitCode: Number(payload["exit_code"]), reason: payload["reason"] };
      return;
    }
    this.messages += 1;
    this.largest = Math.max(this.largest, String(payload["data"]).length);
    this.text += outputText(payload["data"]);
  }

  #send(type: string, payload: Json): void {
    this.#agent.send(type, { session_id: this.sessionId, ...payload }, this.sessionId);
  }
}

/** The commands and terminals of one console. */
export class ConsoleWork {
  readonly #changes: Changes;
  readonly #terminals = new Map<string, { instanceId: string; terminal: ConsoleTerminal }>();
  readonly #results = new Map<string, Received>();

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  /** Opens a terminal over an agent's connection. */
  open(agent: AgentSocket, size = { cols: 80, rows: 24 }): ConsoleTerminal {
    const terminal = new ConsoleTerminal(agent, size);
    const instanceId = agent.instanceId ?? "";
    this.#terminals.set(terminal.sessionId, { instanceId, terminal });
    return terminal;
  }

  /** Runs a command, and waits as long as the console does. */
  async run(
    agent: AgentSocket | undefined,
    request: CommandRequest,
    graceMs = GRACE_MS,
  ): Promise<CommandOutcome> {
    if (agent === undefined) return { kind: "not connected" };
    const { command, args, env, timeoutMs } = request;
    const id = randomUUID();
    agent.send("command:dispatch", {
      command_id: id,
      command,
      ...(args === undefined ? {} : { args }),
      ...(env === undefined ? {} : { env }),
      timeout_ms: timeoutMs ?? DEFAULT_TIMEOUT_MS,
    });
    const patience = (timeoutMs ?? DEFAULT_TIMEOUT_MS) + graceMs;
    try {
      const result = await this.#changes.until("a result", () => this.#results.get(id), patience);
      return outcomeOf(result);
    } catch (error) {
      if (this.#results.has(id)) throw error;
      return { kind: "timed out" };
    }
  }

  /** Runs a script, as the console's own route does. */
  runScript(
    agent: AgentSocket | undefined,
    script: string,
    timeoutMs = 60_000,
  ): Promise<CommandOutcome> {
    const encoded = new TextEncoder().encode(script).toBase64();
    const env = [`SINDRI_SCRIPT_B64=${encoded}`];
    return this.run(agent, { command: "/bin/bash", args: ["-s"], env, timeoutMs });
  }

  /** Takes a message of an agent. */
  take(received: Received): void {
    const { type, sessionId, payload } = received;
    if (type === "command:result") {
      this.#results.set(sessionId || String(payload["command_id"]), received);
    } else if (type === "terminal:output" || type === "terminal:closed") {
      this.#terminals.get(sessionId ?? "")?.terminal.take(received);
      if (type === "terminal:closed") this.#forget(sessionId ?? "");
    }
  }

  /** Notes that an agent's connection has gone; its terminals get nothing any more. */
  lose(instanceId: string): void {
    for (const [id, entry] of this.#terminals) {
      if (entry.instanceId !== instanceId) continue;
      entry.terminal.isLost = true;
      this.#forget(id);
    }
  }

  #forget(sessionId: string): void {
    this.#terminals.delete(sessionId);
  }
}

function outcomeOf({ payload, faults }: Received): CommandOutcome {
  if (faults.some(({ harm }) => harm === "lost")) return { kind: "bad gateway" };
  return {
    kind: "answered",
    stdout: String(payload["stdout"]),
    stderr: String(payload["stderr"]),
    exitCode: Number(payload["exit_code"] ?? payload["exitCode"] ?? 0),
    durationMs: Number(payload["duration_ms"] ?? payload["durationMs"]),
  };
}
