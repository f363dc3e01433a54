/**
 * `deno task demo`: starts the programs in a temporary directory, without systemd,
 * Docker or a configuration, runs one real job, shows its log and result, cleans
 * up, and exits with the job's code.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { UnixClient } from "@lib/foundations/http/unix_client.ts";

/** A few seconds of work in several processes. */
const SCRIPT = `
echo "Job $CICD_JOB_ID, attempt $CICD_ATTEMPT, in $CICD_WORKSPACE"
for step in fetch build test; do
  echo "== $step"
  for part in 1 2 3; do
    sleep 0.3
    echo "   $step: part $part of 3 done"
  done
done
n=0; while [ $n -lt 200000 ]; do n=$((n + 1)); done
echo "counted to $n, token is $DEMO_TOKEN"
`;

const START_DEADLINE_MS = 60_000;

if (import.meta.main) Deno.exitCode = await demo();

async function demo(): Promise<number> {
  const directory = await Deno.makeTempDir({ prefix: "cicd-demo-" });
  const interrupted = new AbortController();
  const onSignal = () => interrupted.abort(new DOMException("Interrupted", "AbortError"));
  Deno.addSignalListener("SIGINT", onSignal);
  try {
    return await runIn(directory, interrupted.signal);
  } finally {
    Deno.removeSignalListener("SIGINT", onSignal);
    await Deno.remove(directory, { recursive: true });
  }
}

async function runIn(directory: string, signal: AbortSignal): Promise<number> {
  const settings = [
    `--socket=${directory}/runner.sock`,
    `--state-dir=${directory}/state`,
    `--runtime-dir=${directory}/run`,
    "--agents=child",
    "--executor=direct",
    "--log-level=warning",
  ];
  say(`Starting the runner in ${directory}`);
  await using runner = startRunner(["daemon", ...settings]);
  using client = new UnixClient(`${directory}/runner.sock`);
  await untilReady(client, runner, signal);
  say("Submitting a job of project demo and following its log\n");
  await using _agent = agentOf(client);
  const job = startRunner(
    [
      "run",
      `--socket=${directory}/runner.sock`,
      "--project=demo",
      "--secret=DEMO_TOKEN=env:DEMO_TOKEN",
      "--script=-",
    ],
    { stdin: SCRIPT, env: { DEMO_TOKEN: `t0ken-${crypto.randomUUID()}` } },
  );
  const { code } = await job.child.status;
  say(`\nThe job's exit code was ${code}; stopping the programs and removing ${directory}`);
  return code;
}

interface Program extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
}

function startRunner(
  args: readonly string[],
  { stdin, env = {} }: { readonly stdin?: string; readonly env?: Record<string, string> } = {},
): Program {
  const main = new URL("../cmd/runner/main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, ...args],
    env,
    stdin: stdin === undefined ? "null" : "piped",
  }).spawn();
  if (stdin !== undefined) void feed(child, stdin);
  return {
    child,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch (error) {
        // It has already exited.
        if (!(error instanceof TypeError)) throw error;
      }
      await child.status;
    },
  };
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
}

async function untilReady(client: UnixClient, runner: Program, signal: AbortSignal): Promise<void> {
  using deadline = withDeadline(signal, START_DEADLINE_MS, "the runner's start");
  const ended = runner.child.status.then(({ code }) => {
    throw new Error(`The runner exited with code ${code} before it was ready`);
  });
  void ended.catch(() => deadline.throwIfAborted());
  for (;;) {
    try {
      using answer = await client.send({ method: "GET", path: "/readyz", signal: deadline });
      if (answer.status === 200) return;
    } catch (error) {
      if (deadline.aborted) throw error;
    }
    await raceAbort(Promise.race([systemClock.sleep(50), ended]), deadline);
  }
}

/** Ends the project's agent, which would otherwise wait for more work. */
function agentOf(client: UnixClient): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const signal = AbortSignal.timeout(5_000);
      using answer = await client.send({ method: "GET", path: "/v1/projects/demo", signal });
      const { agent } = JSON.parse(await answer.text());
      if (typeof agent?.pid === "number") Deno.kill(agent.pid, "SIGTERM");
    },
  };
}

function say(text: string): void {
  console.error(text);
}
