/**
 * The command line: parses it, and runs the one command that it names.
 *
 * @module
 */
import { bash, fish, zsh } from "@optique/core/completion";
import { merge, object, or } from "@optique/core/constructs";
import { runParserAsync } from "@optique/core/facade";
import { message } from "@optique/core/message";
import { parseAsync } from "@optique/core/parser";
import { optional } from "@optique/core/modifiers";
import { option, passThrough } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { CicdError } from "@lib/core/errors.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { quoteWord } from "@lib/api/client/format.ts";
import { ERROR_CODES } from "@lib/core/error_codes.ts";
import { type Command, defineCommand, type Invocation } from "@lib/api/client/command.ts";
import { makeCompleter } from "@lib/api/client/completer.ts";
import { type GlobalFlags, openOutput } from "@lib/api/client/context.ts";
import { openContext } from "@lib/api/client/open_context.ts";
import { FEATURES } from "../../features.ts";
import { runCommand, wantsJson } from "./run_command.ts";
import { type Completer, examples, filePath, toggle } from "@lib/foundations/cli/grammar_values.ts";

/** Loads the commands of all features, in the order of the help. */
export async function loadCommands(): Promise<readonly Command[]> {
  const modules = await Promise.all(FEATURES.map(({ commands }) => commands?.()));
  return inOrder([...modules.flatMap((module) => module?.commands ?? []), ...daemonCommands()]);
}

/** Makes the parser of the command line. */
export function makeGrammar(commands: readonly Command[], completer: Completer) {
  return merge(
    or(...commands.map(({ parser }) => parser(completer))),
    object("Everywhere", {
      socket: optional(option("--socket", filePath("PATH"), {
        description: message`The runner's socket; by default as configured`,
      })),
      url: optional(option("--url", string({ metavar: "URL" }), {
        description: message`A remote runner, with the key in $CICD_API_KEY; by default $CICD_URL`,
      })),
      config: optional(option("--config", filePath("FILE"), {
        description: message`The configuration; by default in the usual place`,
      })),
      json: toggle(["--json"], message`Write JSON; one document a line for lists and streams`),
    }),
  );
}

/** Completion has no flags. */
const NO_FLAGS: GlobalFlags = { socket: undefined, url: undefined, config: undefined, json: false };

/** Loaded only if the configuration is read. */
const sections = async () => (await import("../../shared/config_sections.ts")).SECTIONS;

/**
 * Runs a command.
 *
 * @returns The exit code.
 * @throws {CicdError} If the command fails.
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const { signal } = new AbortController();
  return await runCommand(args, async () => {
    const parsed = await parseCommandLine(args, signal);
    if (typeof parsed === "number") return parsed;
    const { run, ...flags } = parsed;
    return await run(openContext(flags, { sections, signal }));
  });
}

/** @throws {CicdError} `usage` if the first word, or the one after `help`, names no command. */
function assertCommand([first, second]: readonly string[], commands: readonly Command[]): void {
  const names = [...commands.map(({ name }) => name), "help", "completion"];
  const word = first === "help" ? second : first;
  if (word === undefined || word.startsWith("-") || names.includes(word)) return;
  const hint = didYouMean(word, names) || "; see them with: cicd-runner help";
  throw new CicdError("usage", `Unknown command ${JSON.stringify(word)}${hint}`);
}

/** Returns the command line with `--` before the job's command, if that is all it lacks. */
async function withDashes(
  grammar: ReturnType<typeof makeGrammar>,
  args: readonly string[],
): Promise<string | undefined> {
  if ((args[0] !== "run" && args[0] !== "submit") || args.includes("--")) return undefined;
  for (let at = 1; at < args.length; at++) {
    if (args[at]?.startsWith("-")) continue;
    const fixed = [...args.slice(0, at), "--", ...args.slice(at)];
    if ((await parseAsync(grammar, fixed)).success) return fixed.map(quoteWord).join(" ");
  }
  return undefined;
}

/** The grammar's reading of a command line. */
interface Reading {
  readonly invocation: (Invocation & GlobalFlags) | undefined;
  /** Present if the answer is a text or an error. */
  readonly exitCode?: number;
  readonly shown: string;
  readonly problem: string;
}

/** Returns what a shell is told about the last of some words; for the table of the most of them. */
export async function completeWords(
  words: readonly string[],
  { commands, completer }: {
    readonly commands: readonly Command[];
    readonly completer: Completer;
  },
): Promise<string> {
  const grammar = makeGrammar(commands, completer);
  return (await read(grammar, ["completion", ...words], { colors: false, maxWidth: 100 })).shown;
}

async function read(
  grammar: ReturnType<typeof makeGrammar>,
  args: readonly string[],
  layout: { readonly colors: boolean; readonly maxWidth: number },
): Promise<Reading> {
  let shown = "";
  const answered: { exitCode?: number } = {};
  const answer = (exitCode: number) => {
    answered.exitCode = exitCode;
    return undefined;
  };
  let problem = "";
  const invocation = await runParserAsync(
    grammar,
    "cicd-runner",
    // Without a command, show the help.
    args.length === 0 ? ["--help"] : args,
    {
      help: { command: true, option: { names: ["-h", "--help"] }, onShow: () => answer(0) },
      version: {
        option: { names: ["-V", "--version"], hidden: true },
        value: (await import("@lib/core/version.ts")).VERSION,
        onShow: () => answer(0),
      },
      completion: { command: true, shells: { bash, fish, zsh }, onShow: () => answer(0) },
      onError: () => answer(ERROR_CODES.usage.exitCode),
      stdout: (text) => void (shown += `${text}\n`),
      stderr: (text) => void (problem += `${text}\n`),
      aboveError: "none",
      ...layout,
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
  return { invocation, ...answered, shown, problem };
}

/** Parses the command line; returns the exit code if the answer is a help text or an error. */
async function parseCommandLine(
  args: readonly string[],
  signal: AbortSignal,
): Promise<(Invocation & GlobalFlags) | number> {
  const out = openOutput(Deno.env.toObject(), { json: wantsJson(args) });
  const commands = await loadCommands();
  assertCommand(args, commands);
  const connect = (own: AbortSignal) => openContext(NO_FLAGS, { sections, signal: own }).connect();
  const grammar = makeGrammar(commands, makeCompleter(connect, signal));
  const { invocation, exitCode, shown, problem } = await read(grammar, args, {
    colors: out.isColoured,
    maxWidth: Math.min(out.size()?.columns ?? 90, 100),
  });
  if (problem !== "") {
    const fixed = await withDashes(grammar, args);
    out.failed(
      new CicdError(
        "usage",
        fixed === undefined
          ? problem.trim().replace(/^Error: /, "")
          : `Put -- before the job's command: cicd-runner ${fixed}`,
      ),
    );
  }
  if (shown !== "") await out.write(new TextEncoder().encode(shown));
  if (exitCode !== undefined) return exitCode;
  if (invocation === undefined) throw new TypeError("The grammar has read nothing");
  return invocation;
}

/** Moves each command that names another one behind that. */
function inOrder(commands: readonly Command[]): readonly Command[] {
  const following = Map.groupBy(commands, ({ listedAfter }) => listedAfter);
  const withFollowing = (command: Command): readonly Command[] => [
    command,
    ...(following.get(command.name) ?? []).flatMap(withFollowing),
  ];
  return (following.get(undefined) ?? []).flatMap(withFollowing);
}

/** The commands of no feature; `main.ts` starts daemons before it loads the command line. */
function daemonCommands(): readonly Command[] {
  const flags = () =>
    object({
      args: passThrough({ format: "greedy", description: message`See docs/configuration.md` }),
    });
  return [
    defineCommand({
      name: "manual",
      brief: message`Print the manual page, for man`,
      examples: ["cicd-runner manual | man -l -"],
      flags: () => object({}),
      run: async (_flags, { out }) => {
        const { renderManual } = await import("./manual.ts");
        const { VERSION: version } = await import("@lib/core/version.ts");
        const commands = await loadCommands();
        const none = () => Promise.resolve([]);
        const grammar = makeGrammar(commands, { jobIds: none, projects: none });
        await out.line(await renderManual(grammar, { commands, version }));
        return 0;
      },
    }),
    defineCommand({
      name: "daemon",
      brief: message`Run the runner itself; every key of the configuration is a flag`,
      examples: [
        "cicd-runner daemon --config ~/.config/cicd-toolkit/config.yaml",
        "cicd-runner daemon --socket /tmp/runner.sock --log-level debug",
      ],
      flags,
      run: async ({ args }) => await (await import("./daemon.ts")).runDaemon(args),
    }),
    defineCommand({
      name: "agent",
      brief: message`Run the agent of one project, as cicd-agent does`,
      examples: [
        "cicd-runner agent --session-id web --config ~/.config/cicd-toolkit/config.yaml",
      ],
      flags,
      run: async ({ args }) => await (await import("../../agent/commands/agent.ts")).runAgent(args),
    }),
  ];
}
