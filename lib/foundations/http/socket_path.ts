/**
 * Prepares the path of a Unix socket without touching the files of others.
 *
 * @module
 */
import { dirname } from "node:path";
import { connect } from "node:net";
import { CicdError } from "@lib/core/errors.ts";
import { socketPathMax } from "@lib/core/socket_path_max.ts";

/**
 * Makes the directory (0700) and removes the socket of a dead process.
 *
 * @throws {CicdError} `socket_in_use` if a process listens there, or the path is not a socket.
 */
export async function prepareSocketPath(path: string): Promise<void> {
  const length = new TextEncoder().encode(path).length;
  const limit = socketPathMax();
  if (length > limit) {
    throw inUse(path, `the path has ${length} bytes, the limit is ${limit}; choose a shorter one`);
  }
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (info.isSocket !== true) {
    const what = info.isDirectory ? "directory" : "file";
    throw inUse(path, `a ${what} of that name exists; move it away or choose another path`);
  }
  if (await answers(path)) {
    throw inUse(
      path,
      "another process listens there; stop it first, for example " +
        "with 'systemctl --user stop cicd-runner.socket cicd-runner.service'",
    );
  }
  await Deno.remove(path);
}

function inUse(path: string, state: string): CicdError {
  return new CicdError("socket_in_use", `Cannot listen on "${path}": ${state}`);
}

/**
 * Returns true if a process accepts connections on a Unix socket, or in doubt: a full backlog
 * also refuses connections, and the socket of a busy process must not be removed.
 */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (alive: boolean) => {
      clearTimeout(late);
      socket.destroy();
      resolve(alive);
    };
    const late = setTimeout(() => settle(true), 2_000);
    socket.once("connect", () => settle(true));
    socket.once("error", (error) => settle(!isUnheard(error)));
  });
}

/**
 * Returns true if a connection failed because nobody listens on the socket; reset are connections
 * that its listener had not accepted when it closed.
 */
export function isUnheard(error: Error): boolean {
  const code = "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ECONNREFUSED" || code === "ECONNRESET";
}
