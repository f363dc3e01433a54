/**
 * `attach`: joins a person's terminal with one of the runner.
 *
 * @module
 */
import { constants } from "node:os";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { jobIdOf, listProjects } from "@lib/api/client/jobs.ts";
import { oneLine } from "@lib/api/client/format.ts";
import { queryOf, type RunnerTransport } from "@lib/api/client/transport.ts";
import { dialWebSocket, type WebSocketLink } from "@lib/foundations/http/web_socket_client.ts";
import { DetachKeys, parseDetachKeys } from "@lib/features/terminals/detach_keys.ts";
import { OwnTerminal } from "@lib/features/terminals/own_terminal.ts";
import {
  INPUT_MAX_BYTES,
  OUTPUT_MAX_BYTES,
  parseMessage,
  type TerminalMessage,
} from "@lib/features/terminals/protocol.ts";

/** The terminal to attach to, and the way. */
export interface AttachOptions {
  /** A project, or what names a job. */
  readonly target: string;
  /** An open terminal; absent: a new one. */
  readonly session: string | undefined;
  readonly command: readonly string[];
  readonly isReadOnly: boolean;
  readonly takes: boolean;
  readonly isRecorded: boolean;
  readonly detachKeys: string;
}

/** How an attachment ended. */
type Outcome =
  | { readonly kind: "exit"; readonly end: TerminalMessage & { readonly type: "exit" } }
  | { readonly kind: "detached" }
  | { readonly kind: "signal"; readonly signal: Deno.Signal };

/** Silence of the runner, which pings twice a minute, after which the connection is lost. */
const SILENCE_MS = 75_000;
/** Pieces that wait for a connection; what is typed then is not read. */
const MAX_WAITING = 256;
const AGAIN_MS = 200;
/** Time for the next key of a detach sequence. */
const NEXT_KEY_MS = 1_000;
const ENDING = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"] as const;

/** Attaches until the terminal ends, or the person leaves. @returns The exit code. */
export async function attach(options: AttachOptions, context: CliContext): Promise<number> {
  const sequences = parseDetachKeys(options.detachKeys);
  using runner = await context.connect();
  const path = await terminalPath(options.target, runner, context.signal);
  const attachment = new Attachment(options, context, { runner, path });
  const outcome = await attachment.run(new DetachKeys(sequences));
  switch (outcome.kind) {
    case "detached":
      context.out.note(
        `detached; 'cicd-runner attach ${options.target} --session ${attachment.session}' returns`,
      );
      return 0;
    case "signal":
      return 128 + (constants.signals[outcome.signal as keyof typeof constants.signals] ?? 0);
    case "exit":
      return exitCode(outcome.end, context);
  }
}

function exitCode(
  { exit_code, signal, reason, text }: TerminalMessage & { readonly type: "exit" },
  { out }: CliContext,
): number {
  if (reason === "killed") out.note("the terminal was killed");
  else if (reason !== "exited") out.note(`the terminal ${oneLine(text)}`);
  if (exit_code !== null) return exit_code;
  const found = Object.entries(constants.signals).find(([name]) => name === signal);
  return found === undefined ? 1 : 128 + found[1];
}

/** Begins a line for what is said after an end that the program did not choose. */
function leftBy(outcome: Outcome, own: OwnTerminal): Outcome {
  if (outcome.kind !== "exit" || outcome.end.reason !== "exited") own.beginLine();
  return outcome;
}

class Attachment {
  readonly #options: AttachOptions;
  readonly #context: CliContext;
  readonly #runner: RunnerTransport;
  readonly #path: string;
  readonly #done = Promise.withResolvers<Outcome>();
  #link: WebSocketLink | undefined;
  #own: OwnTerminal | undefined;
  /** Typed while there was no connection. */
  readonly #waiting: Uint8Array[] = [];
  session = "";

  constructor(
    options: AttachOptions,
    context: CliContext,
    { runner, path }: { readonly runner: RunnerTransport; readonly path: string },
  ) {
    this.#options = options;
    this.#context = context;
    this.#runner = runner;
    this.#path = path;
    this.session = options.session ?? "";
  }

  async run(keys: DetachKeys): Promise<Outcome> {
    const { signal } = this.#context;
    // A refusal is told before the terminal is raw.
    const size = new WindowSize();
    let link = await this.#dial(size.now, signal);
    using own = new OwnTerminal();
    this.#own = own;
    using _signals = onSignals({
      ...Object.fromEntries(
        ENDING.map((name) => [name, () => this.#done.resolve({ kind: "signal", signal: name })]),
      ),
      SIGWINCH: () => this.#resize(size.now),
    });
    const input = Deno.stdin.readable.getReader();
    void this.#type(input, keys).catch((error: unknown) => this.#done.reject(error));
    try {
      const reconnect = this.#context.reconnect();
      while (true) {
        const outcome = await Promise.race([this.#follow(link, own), this.#done.promise]);
        if (outcome !== "lost") return leftBy(outcome, own);
        const dialled = reconnect.run(() => this.#dial(size.now, signal)).catch(
          (error: unknown) => Promise.reject(this.#endedMeanwhile(error)),
        );
        const next = await Promise.race([dialled, this.#done.promise]);
        if ("kind" in next) return leftBy(next, own);
        link = next;
      }
    } finally {
      this.#link?.[Symbol.dispose]();
      void this.#done.promise.catch(ignore("it was raced"));
      void input.cancel().catch(ignore("it is not read any more"));
    }
  }

  /** Puts a refusal to join again into the words of who was in the terminal. */
  #endedMeanwhile(error: unknown): unknown {
    if (!(error instanceof CicdError) || error.code !== "not_found") return error;
    this.#own?.beginLine();
    const text = `Terminal "${this.session}" has ended while there was no connection`;
    return new CicdError("not_found", text, { cause: error });
  }

  async #dial(size: Size, signal: AbortSignal): Promise<WebSocketLink> {
    const { command, isReadOnly, takes, isRecorded } = this.#options;
    const isNew = this.session === "";
    const query = queryOf({
      columns: size.columns,
      rows: size.rows,
      session: isNew ? undefined : this.session,
      command: isNew ? command : undefined,
      read_only: isReadOnly ? 1 : undefined,
      take: takes ? 1 : undefined,
      record: isNew && isRecorded ? 1 : undefined,
    });
    const path = `${this.#path}${query}`;
    const request = { path, maxReceiveBytes: OUTPUT_MAX_BYTES, silenceMs: SILENCE_MS };
    const link = await this.#runner.reach(
      (target, deadline) => dialWebSocket({ ...target, ...request }, deadline),
      signal,
    );
    for (const part of this.#waiting.splice(0)) await link.send(part);
    return this.#link = link;
  }

  /** Shows what comes, until the terminal ends or the connection is lost. */
  async #follow(link: WebSocketLink, own: OwnTerminal): Promise<Outcome | "lost"> {
    let end: (TerminalMessage & { readonly type: "exit" }) | undefined;
    let shown = Promise.resolve();
    link.listen((message) => {
      if (typeof message !== "string") return shown = own.write(message);
      const told = parseMessage(message);
      switch (told?.type) {
        case "hello":
          this.session = told.session;
          return this.#tellRole(told);
        case "screen":
          return shown = own.clear();
        case "exit":
          end = told;
          return;
        case "notice":
          return this.#note(told.text);
        case "role":
          return this.#tellRole(told);
        case "size":
        case undefined:
          return;
      }
    });
    const { code } = await link.closed;
    await shown;
    if (end !== undefined) return { kind: "exit", end };
    if (code === 1008) throw new CicdError("unauthorized", "The key is no longer valid");
    return "lost";
  }

  #role: string | undefined;

  #tellRole({ role }: { readonly role: string }): void {
    const before = this.#role ?? (this.#options.isReadOnly ? "viewer" : "writer");
    this.#role = role;
    if (before === role) return;
    this.#note(role === "writer" ? "you write now" : "somebody else writes; you watch");
  }

  #note(text: string): void {
    this.#own?.beginLine();
    this.#context.out.note(`${oneLine(text)}\r`);
  }

  #resize({ columns, rows }: Size): void {
    void this.#link?.send(JSON.stringify({ type: "resize", columns, rows }))
      .catch(ignore("the connection is lost, and tells the size when it is back"));
  }

  /** Sends what is typed. */
  async #type(
    input: ReadableStreamDefaultReader<Uint8Array>,
    keys: DetachKeys,
  ): Promise<void> {
    const { clock, signal } = this.#context;
    let pending: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
    const isTerminal = Deno.stdin.isTerminal();
    while (true) {
      pending ??= input.read();
      // A single key that may begin a sequence is only held for a moment.
      const next = keys.isHolding
        ? await Promise.race([pending, clock.sleep(NEXT_KEY_MS, { signal }).then(() => "late")])
        : await pending;
      if (typeof next === "string") {
        await this.#send(keys.release());
        continue;
      }
      pending = undefined;
      if (next.done) {
        // The end of a file is the key that a person would press.
        if (!isTerminal) await this.#send(Uint8Array.of(4));
        return;
      }
      const { send, detach } = isTerminal
        ? keys.take(next.value)
        : { send: next.value, detach: false };
      await this.#send(send);
      if (detach) return this.#done.resolve({ kind: "detached" });
    }
  }

  /** Sends; without a connection the bytes wait for the next one. */
  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + INPUT_MAX_BYTES);
      const link = this.#link;
      if (link !== undefined && !link.signal.aborted) {
        at += part.length;
        await link.send(part).catch(ignore("the connection is lost"));
      } else if (this.#waiting.length < MAX_WAITING) {
        at += part.length;
        this.#waiting.push(part);
      } else await this.#context.clock.sleep(AGAIN_MS, { signal: this.#context.signal });
    }
  }
}

/** The beginning of a job's id, or another name of a job. */
const JOB_NAME = /^(?:[0-9a-f]{8}[0-9a-f-]*|last(?:~\d{1,4})?)$/;

/** Returns the path of the endpoint. What reads as the id of a job, and is none, is a project. */
async function terminalPath(
  target: string,
  runner: RunnerTransport,
  signal: AbortSignal,
): Promise<string> {
  const ofProject = `/v1/projects/${encodeURIComponent(target)}/terminal`;
  if (!JOB_NAME.test(target)) return ofProject;
  try {
    return `/v1/jobs/${await jobIdOf(runner, target, signal)}/terminal`;
  } catch (error) {
    const isProject = error instanceof CicdError && error.code === "job_not_found" &&
      (await listProjects(runner, signal)).some(({ project }) => project === target);
    if (!isProject) throw error;
    return ofProject;
  }
}

interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The size of the terminal; without one, that of a usual terminal. */
class WindowSize {
  get now(): Size {
    if (!Deno.stdout.isTerminal()) return { columns: 80, rows: 24 };
    const { columns, rows } = Deno.consoleSize();
    const within = (cells: number, usual: number) => cells < 1 ? usual : Math.min(cells, 1_000);
    return { columns: within(columns, 80), rows: within(rows, 24) };
  }
}

function onSignals(handlers: Readonly<Partial<Record<Deno.Signal, () => void>>>): Disposable {
  const added = Object.entries(handlers) as [Deno.Signal, () => void][];
  for (const [name, handler] of added) Deno.addSignalListener(name, handler);
  return {
    [Symbol.dispose]() {
      for (const [name, handler] of added) Deno.removeSignalListener(name, handler);
    },
  };
}
