/**
 * `projects`, `pause`, `resume`, `drain`.
 *
 * @module
 */
import type { ProjectAnswer, QueueAnswer } from "@lib/client/answers.ts";
import type { RunnerClient } from "@lib/client/runner_client.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import type { CliContext } from "./context.ts";
import type { Painter } from "./format.ts";
import type { InvocationOf } from "./grammar.ts";
import { renderTable } from "./table.ts";
import { changes } from "./watch.ts";

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
  const ended = new AbortController();
  const signal = AbortSignal.any([context.signal, ended.signal]);
  const stream = changes(context, client, { signal });
  let next = stream.next();
  let told = "";
  let queue = first;
  try {
    while (true) {
      const text = countsOf(queue);
      if (text !== told) await tell(context, project, queue);
      told = text;
      if (queue.queued + queue.in_flight === 0) return;
      if (await hasCome(next, signal)) next = stream.next();
      queue = await context.reconnect().run(() => readQueue(client, project, context.signal));
    }
  } finally {
    next.catch(ignore("the queue is empty: its changes are of no interest any more"));
    ended.abort(new DOMException("The queue is empty", "AbortError"));
  }
}

/** The stream may have opened after the last change: then this long is waited for nothing. */
const LOOK_AGAIN_MS = 5_000;

/** Waits for a change; `false` if none came for a while. */
async function hasCome(change: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  using deadline = withDeadline(signal, LOOK_AGAIN_MS, "a change");
  const over = Promise.withResolvers<false>();
  const onAbort = () => over.resolve(false);
  deadline.addEventListener("abort", onAbort, { once: true });
  const won = await Promise.race([change.then(() => true), over.promise]);
  if (signal.aborted) throw signal.reason;
  return won;
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
