/**
 * `cicd-runner --socket-activation`: the runner behind a socket unit.
 *
 * With `Accept=no` the service manager passes the listening socket, and this process is the daemon.
 * With `Accept=yes` it starts one process for each connection, which is on standard input: this
 * process then relays between the connection and the one daemon, which it starts if need be.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { connect, Socket } from "node:net";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Backoff } from "@lib/core/backoff.ts";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError, ignore, toCicdError } from "@lib/core/errors.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { isUnheard } from "@lib/foundations/http/socket_path.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { readDaemonConfig, readDaemonFlags } from "../../shared/daemon_flags.ts";
import { startDaemon } from "./start_daemon.ts";

/** Deadline for the daemon to listen. */
const START_WITHIN_MS = 20_000;

/** Deadline for the client to take the reason why there is no daemon. */
const REFUSE_WITHIN_MS = 5_000;

/**
 * Serves what the service manager passed on.
 *
 * @returns The exit code.
 * @throws {CicdError} `usage` if nothing was passed on, `runner_unavailable` if the daemon does not
 * start.
 */
export async function runConnection(args: readonly string[]): Promise<number> {
  if (Deno.env.has("LISTEN_FDS")) {
    // Loaded only here: a relay needs nothing of the daemon.
    return await (await import("./daemon.ts")).runDaemon(args);
  }
  const flags = readDaemonFlags(args);
  if (Deno.stdin.isTerminal()) {
    throw new CicdError(
      "usage",
      "Cannot serve a connection: standard input is a terminal; --socket-activation is for socket " +
        "units, start the runner by hand with 'cicd-runner daemon'",
    );
  }
  const client = openClient();
  try {
    const { signal } = new AbortController();
    const { config } = await readDaemonConfig(flags, signal);
    // Not the configured socket: the service manager listens on that one.
    const socketPath = `${config.of(PROGRAM).runtimeDir}/runner.sock`;
    const daemon = await reachDaemon(socketPath, () => startDaemon(flags, socketPath, signal));
    await relay(client, daemon);
    return 0;
  } catch (error) {
    await refuse(client, toCicdError(error));
    throw error;
  }
}

/** Answers the client's request with the error, and disconnects. */
async function refuse({ input, output }: Duplex, error: CicdError): Promise<void> {
  const { problemParts } = await import("@lib/foundations/http/problem.ts");
  const { status, headers, body } = problemParts(error);
  const lines = Object.entries({
    ...headers,
    "Content-Length": String(new TextEncoder().encode(body).length),
    Connection: "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  using deadline = withDeadline(new AbortController().signal, REFUSE_WITHIN_MS, "the refusal");
  const answer = [`HTTP/1.1 ${status} ${error.entry.title}\r\n${lines.join("")}\r\n${body}`];
  await pipeline(answer, output, { signal: deadline })
    .catch(ignore("the client disconnected, or does not read; the journal has the error"));
  // Otherwise the process would live for as long as the client stays connected.
  input.destroy();
  output.destroy();
}

/** Both directions of a connection. */
interface Duplex {
  readonly input: Readable;
  readonly output: Writable;
}

/**
 * Relays bytes both ways until the daemon closes.
 *
 * When the client stops sending, the daemon's answer still arrives. Backpressure is passed on: no
 * more is held than the streams' own buffers.
 */
async function relay(client: Duplex, daemon: Duplex): Promise<void> {
  const stop = new AbortController();
  const forth = pipeline(client.input, daemon.output, { signal: stop.signal });
  try {
    await Promise.all([
      // The daemon may close before it has read all: its answer still counts.
      forth.catch(ignore("the other direction shows how the connection ended")),
      pipeline(daemon.input, client.output).catch(ignore("the client disconnected"))
        .finally(() => stop.abort()),
    ]);
  } finally {
    stop.abort();
  }
}

/** The connection: a socket on standard input, or a pipe each way. */
function openClient(): Duplex {
  if (fstatSync(0).isSocket()) {
    // The daemon trusts every client of its socket, so remote clients must not reach it.
    if (!new Libc().isUnixSocket(0)) {
      throw new CicdError(
        "usage",
        "Cannot serve a connection from a network: it would need no key; remove Accept=yes from the " +
          "socket unit, or set listen.address",
      );
    }
    const socket = new Socket({ fd: 0, readable: true, writable: true, allowHalfOpen: true });
    return { input: socket, output: socket };
  }
  return { input: process.stdin, output: process.stdout };
}

async function reachDaemon(path: string, start: () => Promise<void>): Promise<Duplex> {
  using deadline = withDeadline(new AbortController().signal, START_WITHIN_MS, "the daemon");
  const backoff = new Backoff({ firstMs: 10, maxMs: 250 });
  let isStarted = false;
  while (true) {
    const socket = await dial(path);
    if (socket !== undefined) return { input: socket, output: socket };
    if (!isStarted) await start();
    isStarted = true;
    try {
      await systemClock.sleep(backoff.next(), { signal: deadline });
    } catch (error) {
      throw new CicdError(
        "runner_unavailable",
        `Cannot serve the connection: the daemon does not listen on "${path}" after ` +
          `${START_WITHIN_MS / 1_000} s; see its journal`,
        { cause: error },
      );
    }
  }
}

/** Connects; `undefined` if nothing listens. */
function dial(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) => {
      socket.destroy();
      if (isUnheard(error)) resolve(undefined);
      else reject(error);
    });
  });
}
