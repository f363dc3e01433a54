/**
 * Terminals of the console. They end with the connection that they are shown over: the console then
 * forgets them, and never says that they are to be closed.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { TaskGroup } from "@lib/core/task_group.ts";
import type { OpenTerminal } from "@lib/api/terminal_opener.ts";
import type { AllowRules } from "@lib/features/console/allow_keys.ts";
import { checkAllowed, type Verdict } from "@lib/features/console/allowance.ts";
import { BridgedTerminal } from "@lib/features/console/bridged_terminal.ts";
import type { ConsoleChannel, ConsoleHandler } from "@lib/features/console/handler.ts";
import type { Refusals } from "@lib/features/console/refusals.ts";
import {
  closedPayload,
  type CreateRequest,
  outputPayload,
  readTerminalRequest,
  TERMINAL_TYPES,
} from "@lib/features/console/terminal_wire.ts";

/** The means of {@linkcode ConsoleTerminals}. */
export interface TerminalPorts {
  readonly rules: () => AllowRules;
  /** Returns what opens terminals; `undefined` if nothing does here. */
  readonly opener: () => Promise<OpenTerminal | undefined>;
  /** The program of a terminal that names none; absent: the account's shell. */
  readonly shell: string | undefined;
  readonly refusals: Refusals;
  readonly tasks: Pick<TaskGroup, "spawn">;
  readonly clock: Clock;
}

/** An open terminal. */
interface Bridge {
  readonly terminal: BridgedTerminal;
  readonly over: Promise<void>;
}

/** Terminals at once, over all projects. */
const MAX_OPEN = 64;
/** As a shell says that a program may not be run. */
const REFUSED = 126;

/** Runs the terminals of the console. */
export class ConsoleTerminals implements ConsoleHandler {
  readonly types = TERMINAL_TYPES;
  readonly #ports: TerminalPorts;
  readonly #open = new Map<string, Bridge>();

  constructor(ports: TerminalPorts) {
    this.#ports = ports;
  }

  get needsConnection(): boolean {
    return this.#open.size > 0;
  }

  handle(
    { type, payload }: { readonly type: string; readonly payload: unknown },
    channel: ConsoleChannel,
  ): Promise<void> {
    const { refusals } = this.#ports;
    const read = readTerminalRequest(type, payload);
    if (read.kind === "unusable") {
      refusals.add(type, read.reason);
      const { session } = read;
      if (type === "terminal:create" && session !== undefined && !this.#open.has(session)) {
        refuse(session, read.reason, channel);
      }
      return Promise.resolve();
    }
    const { request } = read;
    const { session } = request;
    const open = this.#open.get(session);
    switch (request.kind) {
      case "create":
        // The terminal of that id goes on: the console has one for it.
        if (open === undefined) this.#create(session, request, channel);
        break;
      case "input":
        open?.terminal.type(request.bytes);
        break;
      case "resize":
        open?.terminal.resize(request);
        break;
      case "close":
        this.#end(open, "by the console");
        break;
    }
    return Promise.resolve();
  }

  async close(reason: string, signal: AbortSignal): Promise<void> {
    const open = [...this.#open.values()];
    for (const one of open) this.#end(one, `as ${reason}`);
    await raceAbort(Promise.all(open.map(({ over }) => over)), signal);
  }

  #create(session: string, request: CreateRequest, channel: ConsoleChannel): void {
    const { refusals, tasks, clock } = this.#ports;
    const verdict = this.#verdict(request);
    if (verdict.kind === "refused") {
      refusals.add("terminal:create", verdict.reason);
      return refuse(session, verdict.reason, channel);
    }
    const over = Promise.withResolvers<void>();
    const terminal = new BridgedTerminal({ session, channel, clock });
    this.#open.set(session, { terminal, over: over.promise });
    tasks.spawn("terminal of the console", async (signal) => {
      try {
        await terminal.run(async (ears, closed) => {
          const open = await this.#opener();
          const options = { ...this.#options(request, verdict.project), ...ears };
          return await open(options, AbortSignal.any([signal, closed]));
        });
      } finally {
        this.#open.delete(session);
        over.resolve();
      }
    });
  }

  #verdict(request: CreateRequest): Verdict {
    const verdict = checkAllowed({ kind: "terminal" }, request, this.#ports.rules());
    return verdict.kind === "allowed" && this.#open.size >= MAX_OPEN
      ? { kind: "refused", reason: `Cannot open a terminal: ${MAX_OPEN} of the console are open` }
      : verdict;
  }

  async #opener(): Promise<OpenTerminal> {
    const opener = await this.#ports.opener();
    if (opener !== undefined) return opener;
    throw new CicdError("not_found", "Cannot open a terminal: this runner has none");
  }

  #options({ shell, columns, rows, user }: CreateRequest, project: ProjectName) {
    const program = shell ?? this.#ports.shell;
    return {
      project,
      command: program === undefined ? [] : [program],
      columns,
      rows,
      by: user === undefined ? "by the console" : `by the console for ${user.slice(0, 128)}`,
    };
  }

  #end(open: Bridge | undefined, by: string): void {
    if (open === undefined) return;
    this.#ports.tasks.spawn("end of a terminal of the console", () => open.terminal.close(by));
  }
}

/** Says why there is no terminal, where a person sees it: the console has no message for that. */
function refuse(session: string, reason: string, channel: ConsoleChannel): void {
  const bytes = new TextEncoder().encode(`cicd-runner: ${reason}\r\n`);
  channel.send("terminal:output", outputPayload(session, bytes));
  channel.send("terminal:closed", closedPayload(session, { exitCode: REFUSED, reason }));
}
