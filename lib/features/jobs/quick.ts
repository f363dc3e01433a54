/**
 * The commands about jobs, as they are mostly written: read without the grammar.
 *
 * @module
 */
import { projectNameProblem } from "@lib/core/ids.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import type { QuickCommand, QuickCommands } from "@lib/api/client/quick.ts";
import { runCancel, runWait } from "@lib/features/jobs/commands/end_jobs.ts";
import { runJobs } from "@lib/features/jobs/commands/list_jobs.ts";
import { runLogs } from "@lib/features/jobs/commands/print_log.ts";
import { runShow } from "@lib/features/jobs/commands/show_job.ts";
import { commandRequest } from "@lib/features/jobs/commands/command_request.ts";
import { runHeld, submitAndLeave } from "@lib/features/jobs/commands/submit_job.ts";
import { quickArgs } from "@lib/foundations/cli/quick_args.ts";
import { JOB_STATES } from "@lib/spine/jobs/model.ts";

const PROJECT = ["-p", "--project"];

const show: QuickCommand = (args) => {
  const [id, ...more] = quickArgs(args, { toggles: {}, texts: {} })?.words ?? [];
  return id === undefined || more.length > 0 ? undefined : (context) => runShow({ id }, context);
};

const jobs: QuickCommand = (args) => {
  const read = quickArgs(args, {
    toggles: { all: ["-a", "--all"] },
    texts: { project: PROJECT, states: ["-s", "--state"], limit: ["-n", "--limit"] },
  });
  if (read === undefined || read.words.length > 0 || !isProject(read.texts.project)) return;
  const states = read.texts.states?.split(",");
  const { limit = "50", project } = read.texts;
  if (states?.every((state) => JOB_STATES.some((known) => known === state)) === false) return;
  if (!/^[1-9]\d{0,5}$/.test(limit)) return;
  const flags = { project, states, labels: [], limit: Number(limit), watch: false };
  return (context) => runJobs({ ...flags, all: read.toggles.all }, context);
};

const logs: QuickCommand = (args) => {
  const toggles = { follow: ["-f", "--follow"], timestamps: ["-t", "--timestamps"] };
  const read = quickArgs(args, { toggles, texts: {} });
  const [id, ...more] = read?.words ?? [];
  if (read === undefined || id === undefined || more.length > 0) return;
  const part = { stream: undefined, tail: undefined, from: undefined };
  return (context) => runLogs({ id, ...read.toggles, ...part }, context);
};

const wait: QuickCommand = (args) => {
  const ids = quickArgs(args, { toggles: {}, texts: {} })?.words ?? [];
  if (ids.length === 0) return;
  return (context) => runWait({ ids, timeout: undefined }, context);
};

const cancel: QuickCommand = (args) => {
  const read = quickArgs(args, { toggles: { wait: ["-w", "--wait"] }, texts: {} });
  if (read === undefined || read.words.length === 0) return;
  const flags = { given: read.words, labels: [], project: undefined, wait: read.toggles.wait };
  return (context) => runCancel(flags, context);
};

const run: QuickCommand = (args) => {
  const read = command(args, { detach: ["-d", "--detach"] });
  if (read === undefined) return;
  return async (context) => {
    const spec = commandRequest(read, here(context));
    return await (read.toggles.detach ? submitAndLeave : runHeld)(context, spec);
  };
};

const submit: QuickCommand = (args) => {
  const read = command(args, {});
  if (read === undefined) return;
  return (context) => submitAndLeave(context, commandRequest(read, here(context)));
};

function command<Toggle extends string>(
  args: readonly string[],
  toggles: Readonly<Record<Toggle, readonly string[]>>,
) {
  const read = quickArgs(args, { toggles, texts: { project: PROJECT }, takesRest: true });
  if (read === undefined || read.words.length > 0 || read.rest.length === 0) return undefined;
  const { project } = read.texts;
  return isProject(project) ? { toggles: read.toggles, argv: read.rest, project } : undefined;
}

function here({ env }: CliContext) {
  return { cwd: Deno.cwd(), env: (name: string) => env[name] };
}

function isProject(name: string | undefined): boolean {
  return name === undefined || projectNameProblem(name) === undefined;
}

/** The commands about jobs that need no grammar. */
export const quickCommands: QuickCommands = { show, jobs, logs, wait, cancel, run, submit };
