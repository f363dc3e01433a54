/**
 * The commands about the runner and its queues, in the order of the help.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { ignore } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import { changes, listProjects, type ProjectAnswer } from "@lib/api/client/jobs.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import {
  changeQueue,
  type QueueAnswer,
  type QueueVerb,
  showProject,
  showStatus,
} from "@lib/features/status/client.ts";
import { status } from "@lib/features/status/command_status.ts";
import { type Completer, projectName, toggle } from "@lib/foundations/cli/grammar_values.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

const projects = defineCommand({
  name: "projects",
  brief: message`List projects and their queues`,
  examples: ["cicd-runner projects"],
  flags: () => object({}),
  async run(_flags, { connect, out, flags, paint, signal }) {
    using runner = await connect();
    const found = await listProjects(runner, signal);
    if (flags.json) { for (const project of found) await out.json(project); }
    else if (found.length === 0) out.note("there are no projects yet; the first job creates one");
    else {
      for (const line of await renderProjects(found, paint)) await out.line(line);
      for (const { project, agent_problem } of found) {
        if (!agent_problem) continue;
        await out.line(paint("bad", `! the agent of ${project}: ${oneLine(agent_problem)}`));
      }
    }
    return 0;
  },
});

const pause = defineCommand({
  name: "pause",
  brief: message`Pause a queue: jobs are accepted but not started`,
  examples: ["cicd-runner pause web"],
  flags: queueFlags,
  run: (flags, context) => setQueue("pause", flags, context),
});

const resume = defineCommand({
  name: "resume",
  brief: message`Resume a queue: accept and start jobs`,
  examples: ["cicd-runner resume web"],
  flags: queueFlags,
  run: (flags, context) => setQueue("resume", flags, context),
});

const drain = defineCommand({
  name: "drain",
  brief: message`Drain a queue: refuse new jobs, run the accepted ones`,
  examples: ["cicd-runner drain --wait && sudo reboot"],
  flags: (completer) =>
    object({
      project: projectArgument(completer),
      wait: toggle(["-w", "--wait"], message`Return when no job is queued or running`),
    }),
  run: (flags, context) => setQueue("drain", flags, context),
});

/** The commands about the runner and its queues. */
export const commands: readonly Command[] = [status, projects, pause, resume, drain];

function queueFlags(completer: Completer) {
  return object({ project: projectArgument(completer) });
}

function projectArgument(completer: Completer) {
  return optional(argument(projectName(completer), {
    description: message`Only this project; default: all projects`,
  }));
}

/** Renders projects, a line each. */
function renderProjects(found: readonly ProjectAnswer[], paint: Painter) {
  return renderTable({
    columns: [
      { title: "PROJECT" },
      { title: "MODE" },
      { title: "RUNNING", align: "right" },
      { title: "MAX", align: "right" },
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

/** Pauses, resumes or drains a queue. */
async function setQueue(
  verb: QueueVerb,
  { project, wait = false }: { readonly project: string | undefined; readonly wait?: boolean },
  context: CliContext,
): Promise<number> {
  using runner = await context.connect();
  const queue = await changeQueue(runner, { verb, project }, context.signal);
  if (wait) await untilEmpty(context, runner, project, queue);
  else await report(context, project, queue);
  return 0;
}

/** Waits until a queue is empty, and reports each change of its size. */
async function untilEmpty(
  context: CliContext,
  runner: RunnerTransport,
  project: string | undefined,
  first: QueueAnswer,
): Promise<void> {
  const failed = Promise.withResolvers<never>();
  void failed.promise.catch(ignore("it is raced with each change"));
  await using tasks = new TaskGroup({ onFailure: (_name, error) => failed.reject(error) });
  let change = Promise.withResolvers<void>();
  const changed = () => change.resolve();
  // Changes before the stream was open are seen by the first read after that.
  tasks.spawn("events", async (signal) => {
    for await (const _ of changes(context, runner, { signal, onOpen: changed })) changed();
  });
  await report(context, project, first);
  let reported = countsOf(first);
  while (true) {
    await Promise.race([change.promise, failed.promise]);
    change = Promise.withResolvers();
    const queue = await context.reconnect().run(() => readQueue(runner, project, context.signal));
    if (countsOf(queue) !== reported) await report(context, project, queue);
    reported = countsOf(queue);
    if (queue.queued + queue.in_flight === 0) return;
  }
}

async function readQueue(
  runner: RunnerTransport,
  project: string | undefined,
  signal: AbortSignal,
): Promise<QueueAnswer> {
  return project === undefined
    ? await showStatus(runner, signal)
    : await showProject(runner, project, signal);
}

async function report(
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
  return `${in_flight} running, ${queued} queued`;
}
