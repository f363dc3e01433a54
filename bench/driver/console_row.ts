/**
 * Measures what a link to a fleet console costs the runner in memory.
 *
 * The console is the one of the tests, as strict as the live one, in a process of its own.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { startConsole } from "../../tests/support/console/fake_console.ts";
import type { Comparison } from "../report.ts";
import { toLines } from "../text_lines.ts";
import type { Bench } from "./bench.ts";
import { rest, RUNNER_UNIT } from "./product.ts";
import { listen } from "./programs.ts";
import { weigh, type Weight } from "./unit_figures.ts";

/** The word that makes the driver a console. */
const CONSOLE_PEER = "console-peer";

const ROW_MS = 120_000;
/** After which the start has given back what it can. */
const IDLE_MS = 4_000;
const KIB = 1024;
const INSTANCE = "bench";

/** Weighs the runner without a link and with one that is up, in turns. */
export async function measureConsole(given: Bench): Promise<readonly Comparison[]> {
  using deadline = withDeadline(given.signal, ROW_MS, "the row");
  const bench = { ...given, signal: deadline };
  await using console = await startPeer(deadline);
  const rounds = bench.quick ? 1 : 3;
  const without: Weight[] = [];
  const linked: Weight[] = [];
  for (let round = 0; round < rounds; round++) {
    without.push(await weighRunner(bench));
    await using _file = await configure(console.url);
    const up = console.up();
    linked.push(await weighRunner(bench, up));
    bench.say(`round ${round + 1} of ${rounds}`);
  }
  const row = (name: string, part: (weight: Weight) => number): Comparison => ({
    name: `console link: ${name}`,
    unit: "MiB",
    better: "lower",
    ours: {
      name: "what a link that is up adds to the idle runner",
      samples: linked.map((weight, at) => (part(weight) - part(without[at] ?? weight)) / KIB),
    },
    peers: [],
    notes: [`with the usual times, ${IDLE_MS / 1_000} s after the first heartbeat`],
  });
  return [
    { ...row("runner, RSS", ({ rssKiB }) => rssKiB), target: 4 },
    row("runner, private pages", ({ ownKiB }) => ownKiB),
  ];
}

/** Weighs a new, idle runner. @param up Resolves when its link is up, if it has one. */
async function weighRunner(
  { product, signal }: Bench,
  up: Promise<void> = Promise.resolve(),
): Promise<Weight> {
  await product.stop();
  await product.ended(await product.submit({ command: ["/bin/true"] }, signal), signal);
  await raceAbort(up, signal);
  await rest(IDLE_MS, signal);
  return await weigh(RUNNER_UNIT);
}

/** Adds the link to the configuration; disposing takes it away. */
async function configure(url: string): Promise<AsyncDisposable> {
  const directory = `${Deno.env.get("HOME")}/.config/cicd-toolkit`;
  const file = `${directory}/config.yaml`;
  const before = await Deno.readTextFile(file);
  const keyFile = `${directory}/console.key`;
  await Deno.writeTextFile(keyFile, "console-key\n", { mode: 0o600 });
  const link = `console:
  url: ${url}
  api_key: file:${keyFile}
  instance_id: ${INSTANCE}
`;
  await Deno.writeTextFile(file, before + link);
  return {
    async [Symbol.asyncDispose]() {
      await Deno.writeTextFile(file, before);
    },
  };
}

/** A console in another process. */
interface Peer extends AsyncDisposable {
  readonly url: string;
  /** Resolves at the next link that has sent its first heartbeat. */
  up(): Promise<void>;
}

async function startPeer(signal: AbortSignal): Promise<Peer> {
  const flags = ["--quiet", "--allow-all", "--no-config", "--no-lock", "--no-npm", "--no-remote"];
  const program = fromFileUrl(Deno.mainModule);
  const child = listen(Deno.execPath(), "run", ...flags, program, CONSOLE_PEER);
  const lines = child.stdout.pipeThrough(toLines())[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await raceAbort(lines.next(), signal);
    if (done === true) throw new Error("The console has ended");
    return value;
  };
  return {
    url: await next(),
    async up() {
      await next();
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** Runs a console until it is killed: prints its address, and a line for each link that is up. */
export async function runConsole(): Promise<void> {
  const console = await startConsole();
  const say = async (text: string) => {
    await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
  };
  await say(console.url);
  const seen = new Set<unknown>();
  while (true) {
    const agent = await console.changes.until("a link", () => {
      if (console.faults.length > 0) throw new Error(JSON.stringify(console.faults));
      return console.instances.all.map(({ id }) => console.gateway.agent(id)).find((agent) =>
        agent !== undefined && !seen.has(agent) && agent.of("heartbeat").length > 0
      );
    }, ROW_MS);
    seen.add(agent);
    await say("up");
  }
}
