/**
 * Starts an agent beside the runner.
 *
 * A job that wakes a sleeping runner needs its project's agent too, which takes as long to start. So
 * the runner looks at the request that woke it before it loads anything else, and connects to the
 * agent's socket, which makes the service manager start the agent. The request is executed later, as
 * any other: one that is refused leaves an idle agent behind, which exits by itself.
 *
 * @module
 */
import type { PassedSocket } from "@lib/api/listeners.ts";
import { ignore } from "@lib/core/errors.ts";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { agentSocketPath } from "@lib/foundations/config/agent_socket.ts";
import type { Platform } from "../shared/platform.ts";

/** A longer request is not looked at. */
const MAX_BYTES = 64 * 1024;

/** The sockets of a runner, after a look at the first client. */
interface Looked {
  /** The passed sockets; one that is local may hand over its first connection. */
  readonly sockets: readonly PassedSocket[];
  /** The project whose agent is being started. */
  readonly woken?: ProjectName;
}

/**
 * Looks at the request that waits, and wakes one agent: that of the job, if it is one, for a project
 * whose agent's socket listens.
 *
 * @param runtimeDir The service manager's directory of sockets, as `$XDG_RUNTIME_DIR`.
 */
export function wakeAgent(
  { listenFds, acceptWaiting }: Pick<Platform, "listenFds" | "acceptWaiting">,
  runtimeDir: string | undefined,
): Looked {
  const passed = listenFds.find(({ isUnix }) => isUnix);
  const client = passed && acceptWaiting(passed.fd, MAX_BYTES);
  if (client === undefined) return { sockets: listenFds };
  let fd: number | undefined = client.fd;
  const takeAccepted = () => {
    const taken = fd;
    fd = undefined;
    return taken;
  };
  const sockets = listenFds.map((socket) =>
    socket === passed ? { ...socket, takeAccepted } : socket
  );
  const project = projectOfSubmission(client.sent);
  if (project === undefined || runtimeDir === undefined) return { sockets };
  void knock(agentSocketPath(`${runtimeDir}/cicd-toolkit`, project))
    .catch(ignore("no such agent; the runner says so to the client"));
  return { sockets, woken: project };
}

/** Returns the project of a complete request to submit a job; `undefined` for any other. */
function projectOfSubmission(request: Uint8Array): ProjectName | undefined {
  const text = new TextDecoder().decode(request);
  if (!/^POST \/v1\/jobs[? ]/.test(text)) return undefined;
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  try {
    const body: unknown = JSON.parse(text.slice(end + 4));
    const project: unknown = Reflect.get(Object(body), "project");
    return typeof project === "string" ? parseProjectName(project) : undefined;
  } catch (error) {
    // Not all of it has arrived, or it is to be refused.
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

async function knock(path: string): Promise<void> {
  using _connection = await Deno.connect({ transport: "unix", path });
}
