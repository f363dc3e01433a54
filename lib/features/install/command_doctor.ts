/**
 * `doctor`.
 *
 * @module
 */
import * as v from "valibot";
import { ownAccount } from "@lib/core/account.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { VERSION } from "@lib/core/version.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import {
  ENGINE,
  LISTEN,
  type ListenSettings,
  PROGRAM,
} from "@lib/foundations/config/program_keys.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { readRemains } from "@lib/spine/jobs/remains.ts";
import { examineDatabase } from "@lib/foundations/store/database_file.ts";
import { defaultConfig, usualPath } from "@lib/foundations/config/read.ts";
import { DISK } from "@lib/spine/queue/keys.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import {
  type EngineAddress,
  findEngine,
  formatEngineAddress,
} from "@lib/foundations/docker/find_engine.ts";
import { pingEngine } from "@lib/foundations/docker/ping.ts";
import {
  checkAgents,
  checkFiles,
  checkReadiness,
  checkRemains,
  checkRunner,
  checkSecrets,
  checkUnits,
} from "@lib/features/install/check_installation.ts";
import { checkContainment } from "@lib/features/install/check_containment.ts";
import { checkSystemd, checkTools } from "@lib/features/install/check_machine.ts";
import { type Check, checkOf, summaryOf } from "@lib/features/install/checks.ts";
import { type EngineAnswer, gatherFacts, type RunnerAnswer } from "@lib/features/install/facts.ts";
import { hostPorts } from "@lib/features/install/host_ports.ts";
import { installationPaths } from "@lib/features/install/program_paths.ts";
import { exposureOf, readTls } from "@lib/api/listeners.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { reading } from "@lib/api/client/reading.ts";
import { type Colour, oneLine, type Painter } from "@lib/api/client/format.ts";

/** Reads what concerns the installation out of the runner's status. */
const readStatus = reading(
  v.object({
    version: v.string(),
    reasons: v.optional(v.array(v.string()), []),
    unreadable_secrets: v.optional(v.number(), 0),
    agent_problems: v.optional(
      v.array(v.object({ project: v.string(), reason: v.string() })),
      [],
    ),
  }),
  "the status",
);

/** Deadline of the runner's answer. */
const ASK_RUNNER_MS = 5_000;
/** Deadline of the engine's answer. */
const ASK_ENGINE_MS = 10_000;

/** Examines this machine and changes nothing; exits with 1 if there is a problem. */
export async function doctor(context: CliContext): Promise<number> {
  const { env, out, flags, paint, signal } = context;
  const { config, file, problems } = await readConfigOrDefaults(context);
  const { username, uid, home } = ownAccount(env);
  const { stateDir, socket, executor, contain } = config.of(PROGRAM);
  const facts = await gatherFacts({
    ...hostPorts(env),
    subject: {
      user: username,
      uid,
      runtimeDir: env["XDG_RUNTIME_DIR"],
      configDir: `${placeOf("XDG_CONFIG_HOME", { env, home })}/cicd-toolkit`,
      configFile: file ?? usualPath({ env, home }) ?? "",
      stateDir,
      socket: flags.socket ?? socket,
      keyFile: `${stateDir}/secrets.key`,
      unitsDir: installationPaths(Deno.execPath(), Deno.mainModule).unitsDir,
      diskFloorBytes: config.of(DISK).minFreeDiskBytes,
      version: VERSION,
    },
    askEngine: (own) => askEngine({ host: config.of(ENGINE).host, env, signal: own }),
    askRunner: (own) => askRunner(context, own),
  }, signal);
  const checks = [
    ...problems,
    ...checkSystemd(facts),
    ...await checkContainment(facts, {
      executor,
      contain,
      options: { run: runCommand, uid, signal },
    }),
    ...checkFiles(facts),
    checkDatabase(`${stateDir}/runner.db`),
    checkRemains(await readRemains(stateDir), stateDir),
    ...checkUnits(facts),
    checkRunner(facts),
    ...checkReadiness(facts),
    ...checkSecrets(facts),
    ...checkAgents(facts),
    ...checkTools(facts),
    ...checkListener(config.of(LISTEN)),
  ];
  const has = (status: Check["status"]) => checks.some((check) => check.status === status);
  const status = has("problem") ? "problem" : has("warning") ? "warning" : "ok";
  if (flags.json) await out.json({ status, checks });
  else {
    for (const line of checks.flatMap((check) => renderCheck(check, paint))) await out.line(line);
    await out.line("");
    await out.line(paint("strong", summaryOf(checks)));
  }
  return status === "problem" ? 1 : 0;
}

function renderCheck({ status, title, detail, fix }: Check, paint: Painter): readonly string[] {
  const [colour, mark] = MARKS[status];
  return [
    `${paint(colour, mark)} ${title}: ${oneLine(detail)}`,
    ...(fix === undefined ? [] : [`     ${paint("faint", "→")} ${oneLine(fix)}`]),
  ];
}

const MARKS: Readonly<Record<Check["status"], readonly [Colour, string]>> = {
  ok: ["good", "ok  "],
  warning: ["warn", "warn"],
  problem: ["bad", "FAIL"],
  skipped: ["faint", "skip"],
};

/** Checks the runner's database, also while no runner can tell. */
function checkDatabase(path: string): Check {
  const check = checkOf("database", "Database");
  try {
    examineDatabase(path);
    return check.ok(`${path} can be used`);
  } catch (error) {
    return check.problem(messageOf(error), "See docs/operations.md, section Backup");
  }
}

/** Checks the TCP listener, if there is one. */
function checkListener(listen: ListenSettings): readonly Check[] {
  const check = checkOf("listen", "TCP listener");
  try {
    if (listen.address === undefined) return [];
    readTls(listen);
    const danger = exposureOf(listen);
    return [
      danger === undefined
        ? check.ok(`Listens on ${listen.address}; every request needs a key`)
        : check.warning(danger, "See docs/remote-access.md"),
    ];
  } catch (error) {
    return [check.problem(messageOf(error), "cicd-runner config show")];
  }
}

/** Reads the configuration; an invalid one is a finding, and the rest is still examined. */
async function readConfigOrDefaults(context: CliContext) {
  try {
    const { config, file } = await context.readConfig();
    return { config, file, problems: [] };
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    const check = checkOf("config", "Configuration");
    return {
      config: defaultConfig(await context.sections(), context.env),
      file: context.flags.config,
      problems: [check.problem(messageOf(error), "cicd-runner config check")],
    };
  }
}

async function askRunner(context: CliContext, signal: AbortSignal): Promise<RunnerAnswer> {
  using deadline = withDeadline(signal, ASK_RUNNER_MS, "the runner");
  try {
    using runner = await context.connect();
    const answer = await runner.ask(readStatus, { path: "/v1/status", signal: deadline });
    const { version, reasons, unreadable_secrets, agent_problems } = answer;
    return {
      kind: "answered",
      version,
      unreadyReasons: reasons,
      unreadableSecrets: unreadable_secrets,
      agentProblems: agent_problems,
    };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const isSilent = !(error instanceof CicdError) ||
      error.code === "runner_unavailable" || error.code === "deadline_exceeded";
    return { kind: isSilent ? "silent" : "refuses", why: messageOf(error) };
  }
}

/** Options for {@linkcode askEngine}. */
interface AskEngineOptions {
  /** `containers.host` of the configuration. */
  readonly host: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Looks for the engine as the executor does, and asks it.
 *
 * @throws The signal's reason if the signal aborts.
 */
export async function askEngine({ host, env, signal }: AskEngineOptions): Promise<EngineAnswer> {
  const isNamed = [host, env["DOCKER_HOST"], env["CONTAINER_HOST"]].some((name) => Boolean(name));
  const silent = (error: unknown): EngineAnswer => {
    signal.throwIfAborted();
    if (!(error instanceof CicdError)) throw error;
    return { kind: "silent", why: messageOf(error), isNamed };
  };
  let address: EngineAddress;
  try {
    address = findEngine({ host, env });
  } catch (error) {
    return isNamed ? silent(error) : { kind: "none" };
  }
  using deadline = withDeadline(signal, ASK_ENGINE_MS, "the container engine");
  try {
    // First the cheap question: the engine's client is loaded only for one that answers.
    await pingEngine(address, { signal: deadline });
    using engine = new Engine(address);
    const facts = await engine.facts(deadline);
    return { kind: "answers", address: formatEngineAddress(address), ...facts };
  } catch (error) {
    return silent(error);
  }
}
