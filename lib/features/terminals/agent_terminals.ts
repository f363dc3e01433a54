/**
 * The terminals of a project's agent, as the runner reaches them.
 *
 * @module
 */
import * as v from "valibot";
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, isNobodyListening } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { parseProblem } from "@lib/foundations/http/problem.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";
import type { WebSocketLink } from "@lib/foundations/http/web_socket_client.ts";
import { endedTerminalSchema, terminalListSchema } from "@lib/features/terminals/answers.ts";
import { OUTPUT_MAX_BYTES, type TerminalOrder } from "@lib/features/terminals/protocol.ts";

/** Time for an agent to start, and to open a terminal. */
const OPEN_MS = 30_000;
/** Time for an agent to answer a question, or to end a terminal. */
const ASK_MS = 10_000;

/** Where an agent is. */
interface AgentOf {
  readonly project: ProjectName;
  readonly agents: RunnerServices["agents"];
}

/**
 * Opens or joins a terminal of a project; starts its agent if necessary.
 *
 * @throws {CicdError} The refusal of the agent; `agent_unavailable`
 */
export async function openTerminal(
  order: TerminalOrder,
  { project, agents }: AgentOf,
  signal: AbortSignal,
): Promise<WebSocketLink> {
  using deadline = withDeadline(signal, OPEN_MS, `the agent of ${project}`);
  const { dialWebSocket } = await import("@lib/foundations/http/web_socket_client.ts");
  const dial = () =>
    dialWebSocket({
      at: { socketPath: agents.socketPath(project) },
      path: `/terminals?${new URLSearchParams({ order: JSON.stringify(order) })}`,
      maxReceiveBytes: OUTPUT_MAX_BYTES,
    }, deadline);
  try {
    return await dial();
  } catch (error) {
    if (!isNobodyListening(error)) throw error;
    await agents.ensureListening(project, deadline);
    return await dial();
  }
}

/** Lists the open terminals of a project; none if its agent does not run. */
export async function listTerminals(from: AgentOf, signal: AbortSignal) {
  try {
    const answer = await ask(from, { method: "GET", path: "/terminals" }, signal);
    return v.parse(terminalListSchema, answer).terminals;
  } catch (error) {
    if (isNobodyListening(error)) return [];
    throw error;
  }
}

/** Ends a terminal. @throws {CicdError} `not_found` */
export async function killTerminal(
  { id, by, ...from }: AgentOf & { readonly id: string; readonly by: string },
  signal: AbortSignal,
) {
  const path = `/terminals/${encodeURIComponent(id)}/kill?${new URLSearchParams({ by })}`;
  try {
    return v.parse(endedTerminalSchema, await ask(from, { method: "POST", path }, signal));
  } catch (error) {
    if (!isNobodyListening(error)) throw error;
    throw new CicdError("not_found", `Cannot find the terminal: the project has none`);
  }
}

async function ask(
  { project, agents }: AgentOf,
  request: { readonly method: string; readonly path: string },
  signal: AbortSignal,
): Promise<unknown> {
  using deadline = withDeadline(signal, ASK_MS, `the agent of ${project}`);
  using client = new UnixClient(agents.socketPath(project));
  using response = await client.send({ ...request, signal: deadline });
  const answer: unknown = JSON.parse(await response.text());
  if (response.status < 300) return answer;
  throw parseProblem(answer) ??
    new CicdError("agent_unavailable", `The agent answered with status ${response.status}`);
}
