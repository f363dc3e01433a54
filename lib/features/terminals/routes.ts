/**
 * The routes of terminals.
 *
 * @module
 */
import * as v from "valibot";
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { seesProject, shownCaller } from "@lib/core/caller.ts";
import { argvProblem } from "@lib/core/exec_limits.ts";
import { CicdError } from "@lib/core/errors.ts";
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
import { TERMINALS } from "@lib/features/terminals/keys.ts";
import { INPUT_MAX_BYTES } from "@lib/features/terminals/protocol.ts";

type Ports = Pick<RunnerServices, "config" | "agents">;
type SocketPorts = Ports & Pick<RunnerServices, "unitExpected">;

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

/** The WebSocket of a terminal. */
export function terminalSocket({ config, agents, unitExpected }: SocketPorts): AnySocket {
  return socket({
    path: "/v1/projects/:project/terminal",
    access: { scope: "terminal", by: "project" },
    query: {
      session: v.optional(v.pipe(v.string(), v.regex(SESSION, "must be the id of a terminal"))),
      command: repeated(v.pipe(v.string(), v.maxLength(32_768)), MAX_WORDS),
      columns: cells,
      rows: cells,
      read_only: flag,
      take: flag,
      record: flag,
      scrollback: wholeNumber({ min: 0, max: 1_000 }),
    },
    async open({ project, query, caller, request }) {
      assertEnabled(config, project);
      const { columns = 80, rows = 24, scrollback = 0, command = [] } = query;
      const order = {
        ...(query.session === undefined ? {} : { session: query.session }),
        command,
        columns,
        rows,
        isReadOnly: query.read_only === true,
        takes: query.take === true,
        isRecorded: query.record === true,
        scrollback,
        by: shownCaller(caller),
      };
      const problem = command.length === 0 ? undefined : argvProblem(command);
      if (problem !== undefined) {
        const word = problem.field === "" ? "it" : `word ${Number(problem.field) + 1}`;
        throw new CicdError(
          "invalid_request",
          `Cannot run the command: ${word} ${problem.message}`,
        );
      }
      if (query.session === undefined) unitExpected();
      const link = await openTerminal(order, { project, agents }, request.signal);
      const { relay } = await import("@lib/foundations/http/web_socket_client.ts");
      return relay(link, INPUT_MAX_BYTES);
    },
  });
}

/** @throws {CicdError} `forbidden` */
function assertEnabled(config: Ports["config"], project: ProjectName): void {
  if (config().ofProject(TERMINALS, project).isEnabled) return;
  throw new CicdError(
    "forbidden",
    `Cannot open a terminal in "${project}": the configuration switches them off ` +
      "(terminals.enabled)",
  );
}
