/**
 * The command line: parses it, and loads the one command that it names.
 *
 * @module
 */
import { bash, fish, zsh } from "@optique/core/completion";
import { runParserAsync } from "@optique/core/facade";
import { message } from "@optique/core/message";
import { assertNever } from "@lib/core/assert_never.ts";
import { ERROR_CODES } from "@lib/core/error_codes.ts";
import { makeCompleter } from "@lib/features/jobs/commands/completer.ts";
import { openContext } from "@lib/api/client/context.ts";
import { examples } from "@lib/foundations/cli/grammar_values.ts";
import { type Invocation, makeGrammar } from "./grammar.ts";
import { openOutput, OutputClosedError } from "@lib/foundations/cli/output.ts";

/** What a completion is asked with. */
const NO_FLAGS = { socket: undefined, url: undefined, config: undefined, json: false };

/** Loaded only where the configuration is read. */
const sections = async () => (await import("../../shared/config_sections.ts")).SECTIONS;

/** What came of reading the command line. */
type Read =
  | { readonly kind: "invocation"; readonly invocation: Invocation }
  | { readonly kind: "answered"; readonly exitCode: number };

/**
 * Runs a command.
 *
 * @returns The exit code.
 * @throws {CicdError} If the command fails.
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const { signal } = new AbortController();
  try {
    const read = await readCommandLine(args, signal);
    return read.kind === "answered" ? read.exitCode : await dispatch(read.invocation, signal);
  } catch (error) {
    // As with `… | head`: whoever read has seen enough.
    if (error instanceof OutputClosedError) return 0;
    throw error;
  }
}

async function readCommandLine(args: readonly string[], signal: AbortSignal): Promise<Read> {
  const out = openOutput(Deno.env.toObject());
  let shown = "";
  const answered: { exitCode?: number } = {};
  const answer = (exitCode: number) => {
    answered.exitCode = exitCode;
    return undefined;
  };
  const invocation = await runParserAsync(
    makeGrammar(
      makeCompleter((own) => openContext(NO_FLAGS, { sections, signal: own }).connect(), signal),
    ),
    "cicd-runner",
    // Without a command there is nothing to do but to say what could be done.
    args.length === 0 ? ["--help"] : args,
    {
      help: {
        command: true,
        option: { names: ["-h", "--help"] },
        onShow: () => answer(0),
      },
      version: {
        option: { names: ["-V", "--version"], hidden: true },
        value: (await import("@lib/core/version.ts")).VERSION,
        onShow: () => answer(0),
      },
      completion: {
        command: true,
        shells: { bash, fish, zsh },
        onShow: () => answer(0),
      },
      onError: () => answer(ERROR_CODES.usage.exitCode),
      stdout: (text) => void (shown += `${text}\n`),
      stderr: (text) => out.note(text.replace(/^Error: /, "")),
      aboveError: "none",
      colors: out.isColoured,
      maxWidth: Math.min(out.size()?.columns ?? 90, 100),
      termWidth: "auto",
      commandList: "top-level",
      usageLine: [{ type: "ellipsis" }],
      brief: message`Run jobs on this machine, each within its own limits.`,
      footer: examples(
        "cicd-runner run -p web -- make test",
        "cicd-runner status --watch",
        "cicd-runner help run",
      ),
    },
  );
  if (shown !== "") await out.write(new TextEncoder().encode(shown));
  return answered.exitCode === undefined
    ? { kind: "invocation", invocation }
    : { kind: "answered", exitCode: answered.exitCode };
}

async function dispatch(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const { socket, url, config, json } = invocation;
  const context = openContext({ socket, url, config, json }, { sections, signal });
  switch (invocation.command) {
    case "run":
      return await (await import("@lib/features/jobs/commands/run.ts")).run(invocation, context);
    case "submit":
      return await (await import("@lib/features/jobs/commands/run.ts")).submit(invocation, context);
    case "jobs":
      return await (await import("@lib/features/jobs/commands/jobs.ts")).jobs(invocation, context);
    case "show":
      return await (await import("@lib/features/jobs/commands/show.ts")).show(invocation, context);
    case "logs":
      return await (await import("@lib/features/jobs/commands/logs.ts")).logs(invocation, context);
    case "artifacts":
      return await (await import("@lib/features/artifacts/command.ts")).artifacts(
        invocation,
        context,
      );
    case "wait":
      return await (await import("@lib/features/jobs/commands/wait.ts")).wait(invocation, context);
    case "cancel":
      return await (await import("@lib/features/jobs/commands/wait.ts")).cancel(
        invocation,
        context,
      );
    case "retry":
      return await (await import("@lib/features/jobs/commands/retry.ts")).retry(
        invocation,
        context,
      );
    case "events":
      return await (await import("@lib/features/jobs/commands/events.ts")).events(
        invocation,
        context,
      );
    case "status":
      return await (await import("@lib/features/status/command_status.ts")).status(
        invocation,
        context,
      );
    case "projects":
      return await (await import("@lib/features/status/command_queue.ts")).projects(context);
    case "pause":
    case "resume":
    case "drain":
      return await (await import("@lib/features/status/command_queue.ts")).setQueue(
        invocation,
        context,
      );
    case "retention":
      return await (await import("@lib/features/cleaning/commands.ts")).retention(
        invocation,
        context,
      );
    case "clean":
      return await (await import("@lib/features/cleaning/commands.ts")).clean(
        invocation,
        context,
      );
    case "keys":
      return await (await import("@lib/features/access/command.ts")).keys(invocation, context);
    case "doctor":
      return await (await import("@lib/features/install/command_doctor.ts")).doctor(context);
    case "config":
      return await (await import("@lib/features/install/command_config.ts")).config(
        invocation,
        context,
      );
    case "install":
      return await (await import("@lib/features/install/command_install.ts")).install(
        invocation,
        context,
      );
    case "uninstall":
      return await (await import("@lib/features/install/command_install.ts")).uninstall(
        invocation,
        context,
      );
    case "version":
      return await (await import("@lib/features/install/command_version.ts")).version(context);
    case "daemon":
      return await (await import("./daemon.ts")).runDaemon(invocation.flags);
    case "agent":
      return await (await import("../../agent/commands/agent.ts")).runAgent(invocation.flags);
    default:
      return assertNever(invocation);
  }
}
