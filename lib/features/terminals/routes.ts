/**
 * The routes of terminals.
 *
 * @module
 */
import * as v from "valibot";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { type Caller, seesProject, shownCaller } from "@lib/core/caller.ts";
import { argvProblem } from "@lib/core/exec_limits.ts";
import { CicdError } from "@lib/core/errors.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import {
  type AnyRoute,
  type AnySocket,
  flag,
  repeated,
  route,
  socket,
  wholeNumber,
} from "@lib/api/route.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { directoriesIn } from "@lib/foundations/files/records.ts";
import { endedTerminalSchema, terminalListSchema } from "@lib/features/terminals/answers.ts";
import {
  killTerminal,
  listTerminals,
  openTerminal,
} from "@lib/features/terminals/agent_terminals.ts";
import { assertEnabled } from "@lib/features/terminals/enabled.ts";
import { INPUT_MAX_BYTES } from "@lib/features/terminals/protocol.ts";

type Ports = Pick<RunnerServices, "config" | "agents">;
type SocketPorts = Ports & Pick<RunnerServices, "clock" | "unitExpected">;

const cells = wholeNumber({ min: 1, max: 1_000 });
const MAX_WORDS = 256;
const SESSION = /^[0-9a-f]{4,12}$/;

/** The routes. */
export function terminalRoutes({ config, agents }: Ports): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/terminals",
      access: { scope: "terminal", by: "handler" },
      summary: "List the open terminals",
      answers: { 200: { description: "The terminals", schema: terminalListSchema } },
      async handle({ caller, signal }, reply) {
        // Their directories are those of the agents: no agent is started to be asked.
        const { runtimeDir } = config().of(PROGRAM);
        const projects = directoriesIn(`${runtimeDir}/terminals`)
          .flatMap((name) => parseProjectName(name) ?? [])
          .filter((project) => seesProject(caller, project))
          .filter((project) => directoriesIn(`${runtimeDir}/terminals/${project}`).length > 0);
        const lists = await Promise.all(
          projects.map((project) => listTerminals({ project, agents }, signal)),
        );
        return reply.json(200, { terminals: lists.flat() });
      },
    }),
    route({
      method: "POST",
      path: "/v1/projects/:project/terminals/:terminal/kill",
      access: { scope: "terminal", by: "project" },
      summary: "End a terminal and everything in it",
      params: { terminal: { type: "string", pattern: SESSION.source } },
      answers: { 200: { description: "It has ended", schema: endedTerminalSchema } },
      errors: ["not_found", "agent_unavailable"],
      async handle({ project, params, caller, signal }, reply) {
        const id = params["terminal"] ?? "";
        if (!SESSION.test(id)) {
          throw new CicdError("not_found", "Cannot find the terminal: that is no id of one");
        }
        const by = shownCaller(caller);
        return reply.json(200, await killTerminal({ project, agents, id, by }, signal));
      },
    }),
  ];
}

/** The query of both sockets. */
const QUERY = {
  session: v.optional(v.pipe(v.string(), v.regex(SESSION, "must be the id of a terminal"))),
  command: repeated(v.pipe(v.string(), v.maxLength(32_768)), MAX_WORDS),
  columns: cells,
  rows: cells,
  read_only: flag,
  take: flag,
  record: flag,
  scrollback: wholeNumber({ min: 0, max: 1_000 }),
};

type TerminalQuery = { readonly [K in keyof typeof QUERY]: v.InferOutput<typeof QUERY[K]> };

/** Makes the endpoints that open and join terminals: of a project, and in the place of a job. */
export function terminalSockets(
  { config, agents, clock, unitExpected }: SocketPorts,
): readonly AnySocket[] {
  const open = async (
    { project, job, query, caller, request }: {
      readonly project: ProjectName;
      readonly job?: Job;
      readonly query: TerminalQuery;
      readonly caller: Caller;
      readonly request: Request;
    },
  ) => {
    assertEnabled(config, project);
    if (job !== undefined && query.session === undefined) assertHasPlace(job, clock.now());
    const order = {
      ...(job === undefined ? {} : { attempt: { jobId: job.id, number: job.attempt } }),
      ...orderOf(query),
      by: shownCaller(caller),
    };
    if (query.session === undefined) unitExpected();
    const link = await openTerminal(order, { project, agents }, request.signal);
    const { relay } = await import("@lib/foundations/http/web_socket_client.ts");
    return relay(link, INPUT_MAX_BYTES);
  };
  return [
    socket({
      path: "/v1/projects/:project/terminal",
      access: { scope: "terminal", by: "project" },
      query: QUERY,
      open,
    }),
    socket({
      path: "/v1/jobs/:id/terminal",
      access: { scope: "terminal", by: "job" },
      query: QUERY,
      open: (call) => open({ ...call, project: call.job.spec.project, request: call.request }),
    }),
  ];
}

function orderOf(query: TerminalQuery) {
  const { columns = 80, rows = 24, scrollback = 0, command = [] } = query;
  const problem = command.length === 0 ? undefined : argvProblem(command);
  if (problem !== undefined) {
    const word = problem.field === "" ? "it" : `word ${Number(problem.field) + 1}`;
    throw new CicdError("invalid_request", `Cannot run the command: ${word} ${problem.message}`);
  }
  return {
    ...(query.session === undefined ? {} : { session: query.session }),
    command,
    columns,
    rows,
    isReadOnly: query.read_only === true,
    takes: query.take === true,
    isRecorded: query.record === true,
    scrollback,
  };
}

/** @throws {CicdError} `state_conflict` if the job has no place to enter: no agent is asked. */
function assertHasPlace({ id, state, heldUntil = 0 }: Job, now: number): void {
  const why = state === "queued"
    ? "it has not been started"
    : isTerminal(state) && heldUntil <= now
    ? "it has ended and is not held (hold_on_failure)"
    : undefined;
  if (why === undefined) return;
  throw new CicdError("state_conflict", `Cannot open a terminal in job "${id}": ${why}`);
}
