/**
 * Making room for a Unix socket without taking anything from anyone.
 *
 * @module
 */
import { dirname } from "node:path";
import { connect } from "node:net";
import { CicdError } from "@lib/core/errors.ts";

/** `sun_path` holds 108 bytes, the last of them NUL. */
const SUN_PATH_MAX = 107;

/**
 * Makes the directory (0700) and removes a socket that a dead process left.
 *
 * @throws {CicdError} `socket_in_use` if something lives there, or it is no socket.
 */
export async function prepareSocketPath(path: string): Promise<void> {
  const length = new TextEncoder().encode(path).length;
  if (length > SUN_PATH_MAX) {
    throw new CicdError(
      "socket_in_use",
      `Cannot listen on "${path}": the path has ${length} bytes, a socket's may have ` +
        `${SUN_PATH_MAX}; choose a shorter one`,
    );
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
    throw new CicdError(
      "socket_in_use",
      `Cannot listen on "${path}": a ${
        info.isDirectory ? "directory" : "file"
      } of that name exists and is no socket; move it away or choose another path`,
    );
  }
  if (await answers(path)) {
    throw new CicdError(
      "socket_in_use",
      `Cannot listen on "${path}": another process listens there; stop it first, for example ` +
        `with 'systemctl --user stop cicd-runner.socket cicd-runner.service'`,
    );
  }
  await Deno.remove(path);
}

/**
 * Whether a process accepts connections on a Unix socket.
 *
 * When in doubt it does: a full backlog refuses a connection too, and the socket of someone who
 * is busy must not be taken for a dead one's.
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
    socket.once("error", (error) => {
      const code = "code" in error ? error.code : undefined;
      settle(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}
