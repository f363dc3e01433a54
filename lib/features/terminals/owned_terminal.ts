/**
 * Terminals for other features of the runner.
 *
 * Like the terminal of a person it survives the end of its agent: the next one has taken it over, and
 * it is joined again.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import type {
  OpenTerminal,
  OwnedTerminal,
  TerminalEnding,
  TerminalOptions,
} from "@lib/api/terminal_opener.ts";
import type { WebSocketLink } from "@lib/foundations/http/web_socket_client.ts";
import { killTerminal, openTerminal } from "@lib/features/terminals/agent_terminals.ts";
import { assertEnabled } from "@lib/features/terminals/enabled.ts";
import { parseMessage, type TerminalOrder } from "@lib/features/terminals/protocol.ts";

type Ports = Pick<RunnerServices, "config" | "agents" | "clock" | "unitExpected" | "log">;

/** Between two tries to join a terminal again; the agent may be starting. */
const AGAIN_MS = [200, 1_000, 3_000, 6_000] as const;
/** For an agent that took the order to say under which id the terminal is open. */
const HELLO_MS = 30_000;
/** Leaves the alternate screen, undoes all modes, and clears. */
const CLEAR = new TextEncoder().encode("\x1b[?1049l\x1b[!p\x1b[0m\x1b[H\x1b[2J");

/** Makes the function that opens terminals. */
export function terminalOpener(ports: Ports): OpenTerminal {
  return async (options, signal) => {
    assertEnabled(ports.config, options.project);
    ports.unitExpected();
    const terminal = new Terminal(options, ports);
    await terminal.open(signal);
    return terminal;
  };
}

class Terminal implements OwnedTerminal {
  readonly #options: TerminalOptions;
  readonly #ports: Ports;
  readonly #ended = Promise.withResolvers<TerminalEnding>();
  readonly #left = new AbortController();
  /** The connection; pending while there is none. */
  #link = Promise.withResolvers<WebSocketLink>();
  #current: WebSocketLink | undefined;
  #id = "";
  #size: Pick<TerminalOptions, "columns" | "rows">;
  /** To join again, since it was last joined. */
  #tries = 0;

  constructor(options: TerminalOptions, ports: Ports) {
    this.#options = options;
    this.#ports = ports;
    this.#size = { columns: options.columns, rows: options.rows };
    void this.#link.promise.catch(ignore("whoever waits for it is told"));
  }

  get ended(): Promise<TerminalEnding> {
    return this.#ended.promise;
  }

  /** Opens it; resolves once it has an id. */
  async open(signal: AbortSignal): Promise<void> {
    const link = await this.#dial(signal);
    const hello = Promise.withResolvers<void>();
    void this.#serve(link, hello.resolve);
    using deadline = withDeadline(signal, HELLO_MS, "the agent to open the terminal");
    try {
      await raceAbort(Promise.race([hello.promise, this.#ended.promise]), deadline);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#send(bytes);
  }

  async resize({ columns, rows }: { readonly columns: number; readonly rows: number }) {
    this.#size = { columns, rows };
    await this.#send(JSON.stringify({ type: "resize", columns, rows }));
  }

  async kill(by: string, signal: AbortSignal): Promise<void> {
    const { project } = this.#options;
    const { agents } = this.#ports;
    await killTerminal({ project, agents, id: this.#id, by }, signal);
  }

  [Symbol.dispose](): void {
    this.#left.abort(new DOMException("The terminal was left", "AbortError"));
    this.#current?.[Symbol.dispose]();
    this.#over({ exitCode: undefined, text: "was left", hasExited: false });
  }

  /** Sends; at the very moment of a cut, the data is lost with its connection. */
  async #send(data: Uint8Array | string): Promise<void> {
    const link = await this.#link.promise;
    try {
      await link.send(data);
    } catch (error) {
      if (this.#left.signal.aborted) throw error;
    }
  }

  async #dial(signal: AbortSignal): Promise<WebSocketLink> {
    const { project, command, by } = this.#options;
    const order: TerminalOrder = {
      ...(this.#id === "" ? {} : { session: this.#id }),
      command,
      ...this.#size,
      by,
      isReadOnly: false,
      takes: false,
      isRecorded: false,
      isOwned: true,
      scrollback: 0,
    };
    return await openTerminal(order, { project, agents: this.#ports.agents }, signal);
  }

  /** Serves one connection after another, until the terminal has ended. */
  async #serve(first: WebSocketLink, onHello: () => void): Promise<void> {
    let link: WebSocketLink | undefined = first;
    while (link !== undefined) {
      using current = link;
      this.#current = current;
      this.#link.resolve(current);
      const ending = await this.#follow(current, onHello);
      if (ending !== undefined) return this.#over(ending);
      if (this.#id === "") {
        // A further order would open a second one; an unknown one ends without its owner.
        const text = "did not open: the connection to its agent was lost";
        return this.#over({ exitCode: undefined, text, hasExited: false });
      }
      this.#link = Promise.withResolvers();
      void this.#link.promise.catch(ignore("whoever waits for it is told"));
      link = await this.#joinAgain();
    }
    this.#over({ exitCode: undefined, text: "ended: its agent is gone", hasExited: false });
  }

  /** Follows one connection. @returns The end; `undefined` if only the connection is lost. */
  async #follow(link: WebSocketLink, onHello: () => void): Promise<TerminalEnding | undefined> {
    const { onOutput, onNotice } = this.#options;
    let ending: TerminalEnding | undefined;
    let shown: void | Promise<void> = undefined;
    link.listen((message) => {
      if (typeof message !== "string") return shown = onOutput(message);
      const told = parseMessage(message);
      switch (told?.type) {
        case "hello":
          this.#id = told.session;
          this.#tries = 0;
          return onHello();
        case "screen":
          return shown = onOutput(CLEAR);
        case "notice":
          return onNotice(told.code, told.text);
        case "exit":
          ending = {
            exitCode: told.exit_code ?? undefined,
            text: told.text,
            hasExited: told.reason === "exited",
          };
          return;
        case "size":
        case "role":
        case undefined:
          return;
      }
    });
    await link.closed;
    await shown;
    return ending;
  }

  async #joinAgain(): Promise<WebSocketLink | undefined> {
    const { clock, log } = this.#ports;
    for (let ms = AGAIN_MS[this.#tries]; ms !== undefined; ms = AGAIN_MS[this.#tries]) {
      this.#tries++;
      try {
        await clock.sleep(ms, { signal: this.#left.signal });
        return await this.#dial(this.#left.signal);
      } catch (error) {
        if (this.#left.signal.aborted) return undefined;
        if (error instanceof CicdError && error.code === "not_found") return undefined;
        log.debug("Cannot join a terminal again; trying once more", { session: this.#id, error });
      }
    }
    return undefined;
  }

  #over(ending: TerminalEnding): void {
    this.#left.abort(new DOMException("The terminal has ended", "AbortError"));
    this.#link.reject(new CicdError("state_conflict", "The terminal has ended"));
    this.#ended.resolve(ending);
  }
}
