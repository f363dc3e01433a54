/**
 * Commands as they are mostly written, without loading the grammar of the command line.
 *
 * @module
 */
import { makeCompleter } from "@lib/api/client/completer.ts";
import { type GlobalFlags, makeContext, openOutput } from "@lib/api/client/context.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import { quickCommands as aboutJobs } from "@lib/features/jobs/quick.ts";
import { quickCommands as aboutRunner } from "@lib/features/status/quick.ts";
import { SocketClient } from "@lib/foundations/http/socket_client.ts";
import { runProgram } from "../shared/run_program.ts";
import { runCommand } from "./commands/run_command.ts";
import { quickCompletion } from "./quick_completion.ts";

const COMMANDS = new Map(Object.entries({ ...aboutJobs, ...aboutRunner }));

/** Environment variables that only the whole command line understands. */
const UNKNOWN_HERE = ["CICD_URL", "CICD_CONFIG"];

/**
 * Runs a command.
 *
 * @returns Its exit code; `undefined` if the whole command line must read the words: nothing has
 * happened then.
 */
export async function runQuick(args: readonly string[]): Promise<number | undefined> {
  const [name = "", ...words] = args;
  if (name === "completion") return await complete(words);
  const read = withoutGlobals(words);
  const action = read === undefined ? undefined : COMMANDS.get(name)?.(read.words);
  if (read === undefined || action === undefined) return undefined;
  const env = Deno.env.toObject();
  if (isUnknown(env)) return undefined;
  // A step of GitHub Actions gets more than the job's log.
  if (name === "run" && env["GITHUB_ACTIONS"] === "true") return undefined;
  const socketPath = read.socket ?? socketOf(env);
  if (socketPath === undefined) return undefined;
  const { signal } = new AbortController();
  const flags: GlobalFlags = {
    socket: socketPath,
    url: undefined,
    config: undefined,
    json: read.json,
  };
  const unread = () => Promise.reject(new TypeError("A quick command has no configuration"));
  const context = makeContext(flags, {
    env,
    signal,
    sections: unread,
    readConfig: unread,
    connect: transportTo(socketPath),
  });
  return await runProgram("cicd-runner", () => runCommand(args, () => action(context)));
}

/** Answers a shell that asks how a word may go on; `undefined` if only the grammar knows. */
async function complete(words: readonly string[]): Promise<number | undefined> {
  const env = Deno.env.toObject();
  const text = await quickCompletion(words, () => {
    const socketPath = isUnknown(env) ? undefined : socketOf(env);
    if (socketPath === undefined) return undefined;
    return makeCompleter(transportTo(socketPath), new AbortController().signal);
  });
  if (text === undefined) return undefined;
  const bytes = new TextEncoder().encode(text);
  return await runProgram("cicd-runner", () =>
    runCommand(words, async () => {
      await openOutput(env, { json: false }).write(bytes);
      return 0;
    }));
}

function transportTo(socketPath: string): () => Promise<RunnerTransport> {
  return () =>
    Promise.resolve(new RunnerTransport({ sender: new SocketClient(socketPath), socketPath }));
}

/** Tells if the environment says something that only the whole command line understands. */
function isUnknown(env: Readonly<Record<string, string>>): boolean {
  return UNKNOWN_HERE.some((variable) => (env[variable] ?? "") !== "");
}

/** Takes the flags of all commands from the words; `undefined` if one is not plain. */
function withoutGlobals(words: readonly string[]) {
  const end = words.indexOf("--");
  const own = end < 0 ? words : words.slice(0, end);
  const [socket, ...more] = own.filter((word) => word.startsWith("--socket"));
  const path = socket === undefined ? undefined : /^--socket=(\/.+)$/.exec(socket)?.[1];
  if (more.length > 0 || (socket !== undefined && (path === undefined || !isPlain(path)))) {
    return undefined;
  }
  const isJson = own.includes("--json");
  if (own.indexOf("--json") !== own.lastIndexOf("--json")) return undefined;
  const rest = own.filter((word) => word !== "--json" && word !== socket);
  return { json: isJson, socket: path, words: [...rest, ...words.slice(own.length)] };
}

/** Returns the runner's socket if it is where it usually is; `undefined` if a file may say. */
function socketOf(env: Readonly<Record<string, string>>): string | undefined {
  const { CICD_SOCKET = "", XDG_RUNTIME_DIR = "", XDG_CONFIG_HOME = "", HOME = "" } = env;
  if (CICD_SOCKET !== "") return CICD_SOCKET.startsWith("/") ? CICD_SOCKET : undefined;
  if (!isPlain(XDG_RUNTIME_DIR) || !isPlain(HOME)) return undefined;
  const directory = isPlain(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : `${HOME}/.config`;
  const path = `${XDG_RUNTIME_DIR}/cicd-runner.sock`;
  try {
    // Where nobody can listen, the whole command line says what to do.
    if (!Deno.statSync(path).isSocket) return undefined;
    return mayNameSocket(`${directory}/cicd-toolkit/config.yaml`) ? undefined : path;
  } catch {
    return undefined;
  }
}

const CONFIG_MAX_BYTES = 256 * 1024;

/** Tells if a configuration may set the socket: an escape can hide the word. */
function mayNameSocket(path: string): boolean {
  try {
    const { isFile, size } = Deno.statSync(path);
    return !isFile || size > CONFIG_MAX_BYTES || /socket|\\/.test(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Tells if a path is absolute and normal. */
function isPlain(path: string): boolean {
  return /^(?:\/[^/\p{Cc}]+)+$/u.test(path) && !/\/\.\.?(?:\/|$)/.test(path);
}
