import assert from "node:assert/strict";
import { parseAsync } from "@optique/core/parser";
import { quickCommands as aboutJobs } from "@lib/features/jobs/quick.ts";
import { quickCommands as aboutRunner } from "@lib/features/status/quick.ts";
import { toProblem } from "@lib/foundations/http/problem.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { loadCommands, makeGrammar } from "../../cmd/runner/commands/cli.ts";
import { answer, doneBy, fakeRunner, jobAnswer } from "../unit/api/client/_fakes.ts";

const ID = "0192f3a4-0000-7000-8000-000000000001";
const OTHER = "0192f3a4-0000-7000-8000-000000000002";

const quick = { ...aboutJobs, ...aboutRunner };

/** Lines that are read without the grammar. */
const QUICK = [
  ["show", ID],
  ["show", "last"],
  ["jobs"],
  ["jobs", "-p", "web", "-s", "failed,running", "-n", "3"],
  ["jobs", "--all", "--project=web"],
  ["logs", ID],
  ["logs", "-f", ID],
  ["logs", ID, "--timestamps"],
  ["wait", ID, OTHER],
  ["cancel", ID],
  ["cancel", "-w", ID, OTHER],
  ["status"],
  ["run", "-d", "--", "make", "-p", "--json", "--", "--help"],
  ["run", "-p", "web", "-d", "--", "x"],
  ["run", "--detach", "--", "x"],
  ["submit", "--project", "web", "--", "x", ""],
];

/** Lines that only the grammar understands, or refuses. */
const OTHERS = [
  ["show"],
  ["show", ""],
  ["show", ID, OTHER],
  ["show", "--help"],
  ["show", "-x", ID],
  ["show", "--", ID],
  ["jobs", "more"],
  ["jobs", "-n", "0"],
  ["jobs", "-n"],
  ["jobs", "-n", "1", "-n", "2"],
  ["jobs", "-s", "nope"],
  ["jobs", "-p", ".."],
  ["jobs", "--all=1"],
  ["jobs", "--all", "-a"],
  ["jobs", "-w"],
  ["jobs", "-l", "a=b"],
  ["logs", "--tail", "5", ID],
  ["wait", "-t", "5m", ID],
  ["wait"],
  ["cancel"],
  ["cancel", "-l", "a=b"],
  ["status", "now"],
  ["run", "x"],
  ["run", "--"],
  ["run", "x", "--", "y"],
  ["run", "-p", "..", "--", "x"],
  ["run", "--image", "node:22", "--", "x"],
  ["submit", "-d", "--", "x"],
];

function runner() {
  const job = jobAnswer({ id: ID });
  const noRest = toProblem("range_not_satisfiable", "There is no more");
  return fakeRunner(({ method, path, headers }) => {
    if (headers?.["range"] !== undefined) return answer(416, noRest);
    if (path.includes("/logs")) return answer(200, "a log\n");
    if (path === "/v1/status") return answer(200, STATUS);
    if (path.startsWith("/v1/projects/")) return answer(200, PROJECT);
    if (path.includes("/wait")) return answer(200, job);
    if (path.startsWith("/v1/jobs/")) return answer(200, job);
    if (method === "POST") return answer(201, job);
    return answer(200, { jobs: [job], next_cursor: null });
  });
}

const STATUS = {
  version: "1",
  build: "source",
  pid: 1,
  started_at: "2026-01-01T00:00:00.000Z",
  agents: "child",
  state_dir: "/state",
  mode: "open",
  queued: 0,
  in_flight: 0,
  max_running: 4,
  ready: true,
  reasons: [],
};

const PROJECT = {
  project: "web",
  mode: "open",
  queued: 0,
  in_flight: 0,
  max_running: 4,
  agent: { running: false },
};

/** The requests and the output of an action. */
async function effectOf(action: (context: CliContext) => Promise<number>) {
  const { runner: transport, sent } = runner();
  const done = await doneBy(action, { runner: transport, now: 1_767_225_700_000 });
  const requests = sent.map(({ method, path, headers, body }) => {
    const { "idempotency-key": _random, ...fields } = { ...headers };
    // The order of a body's fields means nothing.
    return { method, path, fields, body: body === undefined ? undefined : JSON.parse(body) };
  });
  return { ...done, requests };
}

Deno.test("a command read without the grammar does what the grammar makes of it", async () => {
  const grammar = makeGrammar(await loadCommands(), {
    jobIds: () => Promise.resolve([]),
    projects: () => Promise.resolve([]),
  });
  for (const line of QUICK) {
    const [name = "", ...args] = line;
    const action = quick[name]?.(args);
    assert.ok(action, `${line.join(" ")} is not quick`);
    const parsed = await parseAsync(grammar, line);
    assert.ok(parsed.success);
    assert.deepEqual(await effectOf(action), await effectOf(parsed.value.run), line.join(" "));
  }
});

Deno.test("a line that is not plain is left to the grammar", () => {
  for (const [name = "", ...args] of OTHERS) {
    assert.equal(quick[name]?.(args), undefined, [name, ...args].join(" "));
  }
});
