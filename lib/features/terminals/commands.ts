/**
 * The commands about terminals.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { CicdError } from "@lib/core/errors.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter } from "@lib/api/client/format.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import {
  parsed,
  quoted,
  terminalTarget,
  toggle,
  wrong,
} from "@lib/foundations/cli/grammar_values.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";
import {
  killTerminal,
  listTerminals,
  type TerminalListAnswer,
} from "@lib/features/terminals/client.ts";
import { DETACH_KEYS } from "@lib/features/terminals/detach_keys.ts";

const attachCommand = defineCommand({
  name: "attach",
  brief: message`Open a terminal on the worker of a project or in a job, or join one`,
  description: message`Runs the command, or the account's shell, in a terminal of its own, and exits
with its exit code. The terminal is under the project's limits. In a job that runs, or is held after
its failure, it has the job's workspace, environment and limits, and ends with the job. Ctrl-\\ twice, or Ctrl-P Ctrl-Q,
leaves it as it is; so does a lost connection, which is opened again by itself.`,
  examples: [
    "cicd-runner attach web",
    "cicd-runner attach web -- vim notes.txt",
    "cicd-runner attach 0192f3a4",
    "cicd-runner attach web --session 1f2e3d4c --read-only",
  ],
  flags: (completer) =>
    object({
      target: argument(terminalTarget(completer), {
        description:
          message`The project, or a job by its id or eight characters of it at least; ${"last"} is the newest`,
      }),
      command: multiple(argument(string({ metavar: "COMMAND" }), {
        description: message`Program and arguments, after --; default: the account's shell`,
      })),
      session: optional(option("--session", terminalId(), {
        description: message`Join this terminal, as ${"terminals"} lists it`,
      })),
      readOnly: toggle(["-r", "--read-only"], message`Only watch`),
      take: toggle(["--take"], message`Write, even if somebody else does`),
      record: toggle(["--record"], message`Record the output, in asciicast v2`),
      detachKeys: withDefault(
        option("--detach-keys", string({ metavar: "KEYS" }), {
          description:
            message`Keys that leave it, such as ctrl-a,d; several are separated by spaces`,
        }),
        DETACH_KEYS,
      ),
    }),
  async run(flags, context) {
    const { session, command } = flags;
    if (session !== undefined && command.length > 0) {
      throw new CicdError("usage", "Cannot run a command in an open terminal: omit --session");
    }
    const { attach } = await import("@lib/features/terminals/attach.ts");
    return await attach({
      ...flags,
      session,
      isReadOnly: flags.readOnly,
      takes: flags.take,
      isRecorded: flags.record,
    }, context);
  },
});

const terminals = defineCommand({
  name: "terminals",
  brief: message`List the open terminals, or end one`,
  examples: ["cicd-runner terminals", "cicd-runner terminals --kill 1f2e3d4c"],
  flags: () =>
    object({
      kill: optional(option("--kill", string({ metavar: "ID" }), {
        description: message`End this terminal and everything in it`,
      })),
    }),
  async run(flags, context) {
    using runner = await context.connect();
    if (flags.kill !== undefined) await kill(flags.kill, runner, context);
    else await list(runner, context);
    return 0;
  },
});

function terminalId() {
  return parsed<string>(
    "ID",
    "0123",
    (input) =>
      /^[0-9a-f]{4,12}$/.test(input)
        ? { success: true, value: input }
        : wrong(`${quoted(input)} is no id of a terminal; 'cicd-runner terminals' lists them`),
  );
}

/** The commands about terminals. */
export const commands: readonly Command[] = [attachCommand, terminals];

type Terminal = TerminalListAnswer["terminals"][number];

async function kill(prefix: string, runner: RunnerTransport, context: CliContext): Promise<void> {
  const { out, flags, signal } = context;
  const { terminals: open } = await listTerminals(runner, signal);
  const [found, another] = open.filter(({ id }) => id.startsWith(prefix));
  if (found === undefined || another !== undefined) {
    const why = found === undefined ? "none has that id" : "several ids begin with that";
    throw new CicdError("not_found", `Cannot end terminal ${JSON.stringify(prefix)}: ${why}`);
  }
  const ended = await killTerminal(runner, found, signal);
  if (flags.json) await out.json(ended);
  else await out.line(`Ended ${ended.id}`);
}

async function list(
  runner: RunnerTransport,
  { out, flags, paint, clock, signal }: CliContext,
): Promise<void> {
  const { terminals: open } = await listTerminals(runner, signal);
  if (flags.json) { for (const terminal of open) await out.json(terminal); }
  else if (open.length === 0) {
    out.note("no terminal is open; 'cicd-runner attach PROJECT' opens one");
  } else for (const line of await render(open, clock.now(), paint)) await out.line(line);
}

/** Renders terminals, a line each. */
function render(open: readonly Terminal[], now: number, paint: Painter) {
  return renderTable({
    columns: [
      { title: "ID" },
      { title: "PROJECT" },
      { title: "COMMAND" },
      { title: "OPENED" },
      { title: "BY" },
      { title: "VIEWERS", align: "right" },
      { title: "STATE" },
    ],
    rows: open.map((one) => [
      one.id,
      one.project,
      oneLine(one.title === "" ? one.command : `${one.command}: ${one.title}`),
      ago(one.started_at, now),
      oneLine(one.by.replace(/^by /, "")),
      String(one.viewers.length),
      one.stalled_seconds === null ? "open" : `held for ${one.stalled_seconds} s by a slow viewer`,
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}
