/**
 * An open terminal: its program, its screen, and who watches it.
 *
 * Nothing is dropped in silence. While a viewer is slow, the terminal is not read, which holds its
 * program; a viewer that is slow while others are not is skipped after a moment, told so, and gets the
 * screen drawn again.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { raceAbort } from "@lib/core/abort.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { WebSocketPeer } from "@lib/foundations/http/web_socket.ts";
import type { TerminalLine, TerminalSize } from "@lib/foundations/terminal/pty.ts";
import {
  parseRequest,
  type TerminalEnd,
  type TerminalOrder,
} from "@lib/features/terminals/protocol.ts";
import type { Recording } from "@lib/features/terminals/recording.ts";
import { ScreenHistory } from "@lib/features/terminals/screen_history.ts";
import { Viewer } from "@lib/features/terminals/viewer.ts";

/** Options for {@linkcode TerminalSession}. */
export interface SessionOptions {
  readonly id: string;
  readonly size: TerminalSize;
  /** Opens the terminal's master. */
  readonly open: (onData: (bytes: Uint8Array<ArrayBuffer>) => void) => TerminalLine;
  /** Where a later agent finds the screen. */
  readonly screenFile?: string;
  readonly recording?: Recording;
  /** Called with each size that the program is told. */
  readonly onResized: (size: TerminalSize) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Output that waits for a viewer at which the terminal is no longer read, and read again. */
const HIGH_BYTES = 256 * 1024;
const LOW_BYTES = 64 * 1024;
/** Output that waits to be followed at which the terminal is no longer read. */
const UNFOLLOWED_BYTES = 1024 * 1024;
/** Time for which one slow viewer may hold a terminal that others watch. */
const STALL_MS = 2_000;
/** Between two changes of the size that the program is told. */
const RESIZE_MS = 20;
/** Input that the program has not taken for so long is worth a word. */
const INPUT_STALL_MS = 1_000;
/** Changes of the size in a second that are worth a word. */
const MANY_RESIZES = 200;
const MAX_VIEWERS = 32;
/** Answers that wait for a program which asks and does not read. */
const UNREAD_ANSWERS_BYTES = 4 * 1024;

/** A session, from its start to the end of its program. */
export class TerminalSession implements Disposable {
  readonly #options: SessionOptions;
  readonly #pty: TerminalLine;
  readonly #history: ScreenHistory;
  readonly #viewers = new Set<Viewer>();
  readonly #ended = Promise.withResolvers<TerminalEnd>();
  #size: TerminalSize;
  #isPaused = false;
  #stall: AbortController | undefined;
  #resize: ReturnType<typeof setTimeout> | undefined;
  #wanted: TerminalSize | undefined;
  #hasOutput = false;
  #end: TerminalEnd | undefined;
  usedAt: number;
  /** Since when nobody is connected. */
  aloneSince: number | undefined;
  stalledAt: number | undefined;
  inputBytes = 0;
  outputBytes = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { size, screenFile, log, clock } = options;
    this.#size = size;
    this.usedAt = clock.now();
    this.aloneSince = this.usedAt;
    this.#history = new ScreenHistory({
      size,
      ...(screenFile === undefined ? {} : { file: screenFile }),
      answer: (text) => this.#answer(text),
      onDrained: () => this.#balance(),
      log,
    });
    this.#pty = options.open((bytes) => this.#output(bytes));
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** The title that the program has set; hostile. */
  get title(): string {
    return this.#history.title;
  }

  get viewers(): ReadonlySet<Viewer> {
    return this.#viewers;
  }

  get isRecorded(): boolean {
    return this.#options.recording !== undefined;
  }

  /** Takes the screen that an earlier agent has kept. */
  restore(screen: Uint8Array): void {
    this.#hasOutput = true;
    this.#history.restore(screen);
  }

  /**
   * Serves a client until it leaves or the terminal ends.
   *
   * @returns The end, if that came first.
   */
  async join(peer: WebSocketPeer, order: TerminalOrder): Promise<TerminalEnd | undefined> {
    const { id, clock } = this.#options;
    if (this.#viewers.size >= MAX_VIEWERS) {
      throw new CicdError("state_conflict", `Cannot join terminal "${id}": it has many viewers`);
    }
    const behind = Promise.withResolvers<never>();
    void behind.promise.catch(ignore("it is raced"));
    const viewer = new Viewer({
      peer,
      by: order.by,
      mayWrite: !order.isReadOnly,
      scrollback: order.scrollback,
      joinedAt: clock.now(),
      onDrained: () => this.#drained(viewer),
      onBehind: () => {
        const why = "it does not read what it is told";
        behind.reject(new CicdError("state_conflict", `Cannot go on with a client: ${why}`));
      },
    });
    this.#viewers.add(viewer);
    this.aloneSince = undefined;
    this.usedAt = clock.now();
    const hasWriter = this.#writer !== undefined;
    if (viewer.options.mayWrite && (order.takes || !hasWriter)) this.#makeWriter(viewer);
    const { columns, rows } = viewer.role === "writer" ? order : this.#size;
    if (viewer.role === "writer") this.#want(order);
    viewer.tell({
      type: "hello",
      session: id,
      role: viewer.role,
      columns,
      rows,
      viewers: this.#viewers.size,
      recording: this.isRecorded,
    });
    // A new terminal is empty: who opens it does not wait for a screen.
    if (this.#hasOutput) void viewer.draw(this.#history.draw(order.scrollback));
    this.#tellRoles(viewer);
    peer.listen((message) => this.#input(viewer, message));
    try {
      const end = await raceAbort(
        Promise.race([this.#ended.promise, behind.promise]),
        peer.signal,
      );
      await viewer.flushed();
      return end;
    } catch (error) {
      if (!peer.signal.aborted) throw error;
      return undefined;
    } finally {
      this.#leave(viewer);
    }
  }

  /** Ends the session: viewers get what is left of the output, then the end. */
  async finish(end: TerminalEnd, text: string): Promise<void> {
    if (this.#end !== undefined) return;
    this.#end = end;
    // The rest is what the system's buffer holds.
    this.#pty.resume();
    const { clock } = this.#options;
    this.#pty.closeSlave();
    await Promise.race([this.#pty.ended, clock.sleep(1_000)]);
    for (const viewer of this.#viewers) viewer.tell({ type: "exit", ...end, text });
    this.#ended.resolve(end);
  }

  /** Says something to every viewer. */
  notice(code: string, text: string): void {
    for (const viewer of this.#viewers) viewer.tell({ type: "notice", code, text });
  }

  /** Hangs up, where the program does not go on without this agent. */
  [Symbol.dispose](): void {
    this.#stall?.abort();
    clearTimeout(this.#resize);
    this.#pty[Symbol.dispose]();
    this.#history[Symbol.dispose]();
    this.#options.recording?.[Symbol.dispose]();
  }

  /** Answers for the terminal; a program that does not read what it asks for gets no more. */
  #answer(text: string): void {
    if (this.#pty.unwritten > UNREAD_ANSWERS_BYTES) return;
    void this.#pty.write(new TextEncoder().encode(text));
  }

  get #writer(): Viewer | undefined {
    return [...this.#viewers].find(({ role }) => role === "writer");
  }

  #output(bytes: Uint8Array): void {
    this.#hasOutput = true;
    this.outputBytes += bytes.length;
    for (const viewer of this.#viewers) viewer.output(bytes);
    this.#history.output(bytes, this.#viewers.size > 0);
    this.#options.recording?.output(bytes);
    this.#balance();
  }

  #input(viewer: Viewer, message: Uint8Array | string): void | Promise<void> {
    this.usedAt = this.#options.clock.now();
    if (typeof message === "string") return this.#request(viewer, message);
    if (viewer.role !== "writer") {
      const text = viewer.options.mayWrite ? "somebody else writes" : "you only watch";
      viewer.tell({ type: "notice", code: "read_only", text });
      return;
    }
    this.inputBytes += message.length;
    const written = this.#pty.write(new Uint8Array(message));
    return this.#watchInput(viewer, written);
  }

  /** The client waits meanwhile: at most one of its messages does not fit into the terminal. */
  async #watchInput(viewer: Viewer, written: Promise<void>): Promise<void> {
    const late = setTimeout(() => {
      const text = "the program does not read what is typed; the rest waits";
      viewer.tell({ type: "notice", code: "input_waits", text });
    }, INPUT_STALL_MS);
    try {
      await raceAbort(written, viewer.options.peer.signal);
    } finally {
      clearTimeout(late);
    }
  }

  #request(viewer: Viewer, text: string): void {
    const request = parseRequest(text);
    switch (request?.type) {
      case undefined:
        return viewer.tell({
          type: "notice",
          code: "unknown",
          text: "a message is not understood: send resize or take",
        });
      case "resize":
        if (viewer.role === "writer") this.#want(request, viewer);
        return;
      case "take":
        if (!viewer.options.mayWrite) {
          return viewer.tell({ type: "notice", code: "read_only", text: "you only watch" });
        }
        this.#makeWriter(viewer);
        this.#tellRoles();
        return;
    }
  }

  #makeWriter(viewer: Viewer): void {
    for (const other of this.#viewers) other.role = "viewer";
    viewer.role = "writer";
  }

  #tellRoles(except?: Viewer): void {
    for (const viewer of this.#viewers) {
      if (viewer === except) continue;
      viewer.tell({ type: "role", role: viewer.role, viewers: this.#viewers.size });
    }
  }

  #leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size === 0) this.aloneSince = this.#options.clock.now();
    if (this.#end !== undefined) return;
    if (viewer.role === "writer") {
      const next = [...this.#viewers].find(({ options }) => options.mayWrite);
      if (next !== undefined) this.#makeWriter(next);
    }
    this.#tellRoles();
    this.#balance();
  }

  #resizes = { since: 0, count: 0 };

  /** Changes the size: the first time at once, then at most every 20 ms, to the last that is wanted. */
  #want({ columns, rows }: TerminalSize, by?: Viewer): void {
    const now = this.#options.clock.now();
    if (now - this.#resizes.since > 1_000) this.#resizes = { since: now, count: 0 };
    if (by !== undefined && ++this.#resizes.count === MANY_RESIZES) {
      const text = "the size changes too often; the last one counts";
      by.tell({ type: "notice", code: "resizes_merged", text });
    }
    this.#wanted = { columns, rows };
    if (this.#resize !== undefined) return;
    this.#apply();
    this.#resize = setTimeout(() => {
      this.#resize = undefined;
      if (this.#wanted !== undefined) this.#want(this.#wanted);
    }, RESIZE_MS);
  }

  #apply(): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted === undefined) return;
    const { columns, rows } = this.#size;
    if (wanted.columns === columns && wanted.rows === rows) return;
    this.#size = wanted;
    this.#pty.resize(wanted);
    this.#history.resize(wanted);
    this.#options.recording?.resize(wanted);
    this.#options.onResized(wanted);
    for (const viewer of this.#viewers) viewer.tell({ type: "size", ...wanted });
  }

  /** Reads the terminal, or holds it, by how much waits. */
  #balance(): void {
    const most = Math.max(0, ...[...this.#viewers].map(({ queued }) => queued));
    const unfollowed = this.#history.waiting;
    if (this.#isPaused && most < LOW_BYTES && unfollowed < UNFOLLOWED_BYTES / 2) {
      this.#isPaused = false;
      this.stalledAt = undefined;
      this.#stall?.abort();
      this.#stall = undefined;
      if (this.#end === undefined) this.#pty.resume();
    } else if (!this.#isPaused && (most > HIGH_BYTES || unfollowed > UNFOLLOWED_BYTES)) {
      this.#isPaused = true;
      this.stalledAt = this.#options.clock.now();
      if (this.#end === undefined) this.#pty.pause();
    }
    // Also one that has taken a part, and stopped then: it holds the others as well.
    if (this.#isPaused && most >= LOW_BYTES && this.#stall === undefined) {
      this.#stall = new AbortController();
      void this.#skipLater(this.#stall.signal).catch(ignore("it goes on, or has ended"));
    }
  }

  async #skipLater(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(STALL_MS, { signal });
    this.#stall = undefined;
    this.#skipSlow();
  }

  /** Gives up on viewers that hold the others; one that watches alone only holds its program. */
  #skipSlow(): void {
    const slow = [...this.#viewers].filter(({ queued }) => queued >= LOW_BYTES);
    if (slow.length < this.#viewers.size) { for (const viewer of slow) viewer.skip(); }
    this.#balance();
  }

  #drained(viewer: Viewer): void {
    if (viewer.skipped > 0 && viewer.queued === 0 && viewer.isIdle) {
      const text =
        `${viewer.skipped} bytes came too fast and were left out; this is the screen now`;
      viewer.tell({ type: "notice", code: "skipped", text });
      void viewer.draw(this.#history.draw(0));
    }
    this.#balance();
  }
}
