/**
 * `projects`, `pause`, `resume`, `drain`.
 *
 * @module
 */
import type { ProjectAnswer, QueueAnswer } from "@lib/api/client/answers.ts";
import type { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { ignore } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import type { Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";
import { changes } from "@lib/api/client/watch.ts";

/** Lists projects. */
export async function projects(context: CliContext): Promise<number> {
  const { out, flags, paint, signal } = context;
  using client = await context.connect();
  const found = await client.projects(signal);
  if (flags.json) { for (const project of found) await out.json(project); }
  else if (found.length === 0) out.note("there are no projects yet; the first job makes one");
  else for (const line of renderProjects(found, paint)) await out.line(line);
  return 0;
}

/** Renders projects, a line each. */
export function renderProjects(
  found: readonly ProjectAnswer[],
  paint: Painter,
): readonly string[] {
  return renderTable({
    columns: [
      { title: "PROJECT" },
      { title: "MODE" },
      { title: "AT WORK", align: "right" },
      { title: "AT MOST", align: "right" },
      { title: "QUEUED", align: "right" },
    ],
    rows: found.map(({ project, mode, queued, in_flight, max_running }) => [
      project,
      { text: mode, paint: (text) => mode === "open" ? text : paint("warn", text) },
      String(in_flight),
      String(max_running),
      String(queued),
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}

/** Holds, opens or closes a queue. */
export async function setQueue(
  invocation: InvocationOf<"pause" | "resume" | "drain">,
  context: CliContext,
): Promise<number> {
  const { command, project } = invocation;
  using client = await context.connect();
  const queue = await client.setQueue(command, project, context.signal);
  if (command === "drain" && invocation.wait) {
    await untilEmpty(context, client, project, queue);
  } else await tell(context, project, queue);
  return 0;
}

/** Waits until a queue is empty, and tells each change of its size. */
async function untilEmpty(
  context: CliContext,
  client: RunnerClient,
  project: string | undefined,
  first: QueueAnswer,
): Promise<void> {
  const failed = Promise.withResolvers<never>();
  void failed.promise.catch(ignore("it is looked at with each change"));
  await using tasks = new TaskGroup({ onFailure: (_name, error) => failed.reject(error) });
  let change = Promise.withResolvers<void>();
  const changed = () => change.resolve();
  // What happened before the stream was open is seen by looking once it is.
  tasks.spawn("events", async (signal) => {
    for await (const _ of changes(context, client, { signal, onOpen: changed })) changed();
  });
  await tell(context, project, first);
  let told = countsOf(first);
  while (true) {
    await Promise.race([change.promise, failed.promise]);
    change = Promise.withResolvers();
    const queue = await context.reconnect().run(() => readQueue(client, project, context.signal));
    if (countsOf(queue) !== told) await tell(context, project, queue);
    told = countsOf(queue);
    if (queue.queued + queue.in_flight === 0) return;
  }
}

async function readQueue(
  client: RunnerClient,
  project: string | undefined,
  signal: AbortSignal,
): Promise<QueueAnswer> {
  return project === undefined
    ? await client.status(signal)
    : await client.project(project, signal);
}

async function tell(
  { out, flags, paint }: CliContext,
  project: string | undefined,
  queue: QueueAnswer,
): Promise<void> {
  if (flags.json) {
    const { mode, queued, in_flight } = queue;
    return await out.json({ project: project ?? null, mode, queued, in_flight });
  }
  const name = project ?? "all projects";
  const mode = queue.mode === "open" ? queue.mode : paint("warn", queue.mode);
  await out.line(`${name}: ${mode}, ${countsOf(queue)}`);
}

function countsOf({ queued, in_flight }: QueueAnswer): string {
  return `${in_flight} at work, ${queued} queued`;
}
