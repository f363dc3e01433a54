/**
 * A program in a running container, on a terminal of its own.
 *
 * The engine passes the terminal on over the connection of the request that starts the program. It
 * has no call that ends one: a signal does, sent from here if this account may, else from within.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import {
  callRaw,
  connectInTime,
  type Connection,
  writeAll,
} from "@lib/foundations/docker/raw_exchange.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** A program to start. */
export interface ExecOrder {
  readonly address: EngineAddress;
  readonly container: string;
  readonly argv: readonly string[];
  /** Besides the container's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly rows: number;
}

/** A started program. */
export interface ExecTerminal {
  readonly id: string;
  readonly connection: Connection;
}

/** A program as the engine tells of it. */
export interface ExecState {
  readonly isRunning: boolean;
  readonly exitCode: number | null;
  /** In the namespace of the engine's machine. */
  readonly pid: number;
  /** The id of its container. */
  readonly container: string;
}

const createdExec = v.object({ Id: v.pipe(v.string(), v.regex(/^[0-9a-f]{12,128}$/)) });
const execState = v.object({
  Running: v.boolean(),
  ExitCode: v.nullable(v.number()),
  Pid: v.optional(v.number(), 0),
  ContainerID: v.optional(v.string(), ""),
});

/** Longest header of the answer that becomes the terminal. */
const HEADER_MAX_BYTES = 16 * 1024;

/** Starts a program. @throws {EngineError} If the engine refuses it, or does not answer. */
export async function startExec(
  { address, container, argv, env, columns, rows }: ExecOrder,
  signal: AbortSignal,
): Promise<ExecTerminal> {
  const { Id: id } = v.parse(
    createdExec,
    await callRaw(address, {
      method: "POST",
      target: `/containers/${encodeURIComponent(container)}/exec`,
      body: {
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
        Tty: true,
        ConsoleSize: [rows, columns],
        Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
        Cmd: argv,
      },
      what: `enter container "${container}"`,
      signal,
    }),
  );
  const what = `start a program in container "${container}"`;
  const connection = await connectInTime(address, what, signal);
  const onAbort = () => connection.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const body = JSON.stringify({ Detach: false, Tty: true, ConsoleSize: [rows, columns] });
    const head = [
      `POST /exec/${id}/start HTTP/1.1`,
      "Host: localhost",
      "Connection: Upgrade",
      "Upgrade: tcp",
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
    ].join("\r\n");
    await writeAll(connection, new TextEncoder().encode(`${head}\r\n\r\n${body}`));
    const status = await readStatus(connection);
    if (status !== 101 && status !== 200) {
      throw new CicdError("executor_failed", `Cannot ${what}: status ${status} of the engine`);
    }
    return { id, connection };
  } catch (error) {
    if (!signal.aborted) connection.close();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Tells a program the size of its terminal. */
export async function resizeExec(
  address: EngineAddress,
  id: string,
  { columns, rows, signal }: {
    readonly columns: number;
    readonly rows: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const target = `/exec/${id}/resize?h=${rows}&w=${columns}`;
  await callRaw(address, { method: "POST", target, what: "resize a terminal", signal });
}

/** Looks at a program. @throws {EngineError} Status 404 if its container is gone. */
export async function inspectExec(
  address: EngineAddress,
  id: string,
  signal: AbortSignal,
): Promise<ExecState> {
  const target = `/exec/${id}/json`;
  const answer = await callRaw(address, { method: "GET", target, what: "see a program", signal });
  const { Running, ExitCode, Pid, ContainerID } = v.parse(execState, answer);
  return { isRunning: Running, exitCode: ExitCode, pid: Pid, container: ContainerID };
}

/** Sends a signal to a program and its process group, if it runs. */
export async function signalExec(
  address: EngineAddress,
  { container, id, name }: {
    readonly container: string;
    readonly id: string;
    readonly name: "HUP" | "KILL";
  },
  signal: AbortSignal,
): Promise<void> {
  const { isRunning, pid, container: containerId } = await inspectExec(address, id, signal);
  // The number of a process on another machine is that of somebody else's here.
  if (!isRunning || pid <= 1 || !isWithin(pid, containerId)) return;
  try {
    Deno.kill(-pid, `SIG${name}`);
    return;
  } catch (error) {
    const isOthers = error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable;
    if (!isOthers) throw error;
  }
  const inside = pidWithin(pid);
  if (inside === undefined) return;
  const argv = ["/bin/sh", "-c", `kill -${name} -- -${inside}`];
  const order = { address, container, argv, env: {}, columns: 80, rows: 24 };
  const { connection } = await startExec(order, signal);
  connection.close();
}

/** Tells if a process of this machine is in a container, as its control group says. */
function isWithin(pid: number, containerId: string): boolean {
  if (!/^[0-9a-f]{64}$/.test(containerId)) return false;
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(containerId);
  } catch {
    // It has ended, or the engine is on another machine.
    return false;
  }
}

/** Returns the number of a process in its own namespace. */
function pidWithin(pid: number): number | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/status`);
    return Number(/^NSpid:.*\t(\d+)$/m.exec(text)?.[1]) || undefined;
  } catch {
    // It has ended, or the engine is on another machine.
    return undefined;
  }
}

/** Reads the header byte by byte: what follows is the terminal's. */
async function readStatus(connection: Connection): Promise<number> {
  const byte = new Uint8Array(1);
  let text = "";
  while (text.length < HEADER_MAX_BYTES && !text.endsWith("\r\n\r\n")) {
    if (await connection.read(byte) === null) break;
    text += String.fromCharCode(byte[0] ?? 0);
  }
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
}
