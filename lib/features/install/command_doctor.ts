/**
 * `doctor`.
 *
 * @module
 */
import { homedir, userInfo } from "node:os";
import * as v from "valibot";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { VERSION } from "@lib/core/version.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import {
  ENGINE,
  LISTEN,
  type ListenSettings,
  PROGRAM,
} from "@lib/foundations/config/program_keys.ts";
import { defaultConfig, usualPath } from "@lib/foundations/config/read.ts";
import { DISK } from "@lib/spine/queue/keys.ts";
import { installationPaths } from "@lib/features/install/build_info.ts";
import { checkFiles } from "@lib/features/install/check_files.ts";
import { checkSystemd } from "@lib/features/install/check_systemd.ts";
import { checkTools } from "@lib/features/install/check_tools.ts";
import { checkRunner, checkUnits } from "@lib/features/install/check_units.ts";
import {
  type Check,
  type DoctorReport,
  doctorReport,
  fine,
  problem,
  warning,
} from "@lib/features/install/checks.ts";
import type { RunnerAnswer } from "@lib/features/install/facts.ts";
import { type DoctorPorts, gatherFacts } from "@lib/features/install/gather.ts";
import { hostPorts } from "@lib/features/install/host_ports.ts";
import { exposureOf, readTls } from "@lib/api/listeners.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { reading } from "@lib/api/client/reading.ts";
import { type Colour, oneLine, type Painter } from "@lib/api/client/format.ts";

/** Reads the version out of the runner's status. */
const readVersion = reading(v.object({ version: v.string() }), "the status");

/** How long the runner may take to answer. */
const ASK_MS = 5_000;

/** Examines this machine; exits with 1 if there is a problem. */
export async function doctor(context: CliContext): Promise<number> {
  const { env, out, flags, paint, signal } = context;
  const { config, file, problems } = await readConfigOrDefaults(context);
  const home = env["HOME"] ?? homedir();
  const configFile = file ?? usualPath({ env, home }) ?? "";
  const { username, uid } = userInfo();
  const { stateDir, socket } = config.of(PROGRAM);
  const checks = await runChecks({
    ...hostPorts(env),
    subject: {
      user: username,
      uid,
      home,
      runtimeDir: env["XDG_RUNTIME_DIR"],
      configDir: `${placeOf("XDG_CONFIG_HOME", { env, home })}/cicd-toolkit`,
      configFile,
      stateDir,
      socket: flags.socket ?? socket,
      keyFiles: [`${stateDir}/secrets.key`],
      unitsDir: installationPaths(Deno.execPath(), Deno.mainModule).unitsDir,
      diskFloorBytes: config.of(DISK).minFreeDiskBytes,
      version: VERSION,
    },
    async askEngine(own) {
      const { askEngine } = await import("@lib/features/install/ask_engine.ts");
      return await askEngine({ host: config.of(ENGINE).host, env, signal: own });
    },
    askRunner: (own) => askRunner(context, own),
  }, signal);
  const whole = doctorReport([...problems, ...checks, ...checkListener(config.of(LISTEN))]);
  if (flags.json) await out.json(whole);
  else for (const line of renderReport(whole, paint)) await out.line(line);
  return whole.status === "problem" ? 1 : 0;
}

/** Examines this machine; changes nothing on it. */
async function runChecks(ports: DoctorPorts, signal: AbortSignal): Promise<readonly Check[]> {
  const facts = await gatherFacts(ports, signal);
  return [
    ...checkSystemd(facts),
    ...checkFiles(facts),
    ...checkUnits(facts),
    checkRunner(facts),
    ...checkTools(facts),
  ];
}

/** Renders a report, a line each. */
export function renderReport({ status, checks }: DoctorReport, paint: Painter): readonly string[] {
  const lines = checks.flatMap((check) => {
    const [colour, mark] = MARKS[check.status];
    return [
      `${paint(colour, mark)} ${check.title}: ${oneLine(check.detail)}`,
      ...(check.fix === undefined ? [] : [`     ${paint("faint", "→")} ${oneLine(check.fix)}`]),
    ];
  });
  const count = (wanted: Check["status"]) =>
    checks.filter((check) => check.status === wanted).length;
  const sum = status === "ok"
    ? "All is well"
    : `${count("problem")} problems, ${count("warning")} warnings`;
  return [...lines, "", paint("strong", sum)];
}

const MARKS: Readonly<Record<Check["status"], readonly [Colour, string]>> = {
  ok: ["good", "ok  "],
  warning: ["warn", "warn"],
  problem: ["bad", "FAIL"],
  skipped: ["faint", "skip"],
};

/** What is wrong with the TCP listener, if there is one. */
function checkListener(listen: ListenSettings): readonly Check[] {
  const title = "TCP listener";
  try {
    if (listen.address === undefined) return [];
    readTls(listen);
    const danger = exposureOf(listen);
    return [
      danger === undefined
        ? fine("listen", title, `Listens on ${listen.address}; every request needs a key`)
        : warning("listen", title, danger, "See docs/remote-access.md"),
    ];
  } catch (error) {
    return [problem("listen", title, messageOf(error), "cicd-runner config show")];
  }
}

interface ConfigOrDefaults {
  readonly config: Config;
  readonly file: string | undefined;
  readonly problems: readonly Check[];
}

/** A wrong configuration is one more finding: the rest is examined all the same. */
async function readConfigOrDefaults(context: CliContext): Promise<ConfigOrDefaults> {
  try {
    const { config, file } = await context.readConfig();
    return { config, file, problems: [] };
  } catch (error) {
    if (!(error instanceof CicdError)) throw error;
    const fix = "cicd-runner config check";
    return {
      config: defaultConfig(await context.sections(), context.env),
      file: context.flags.config,
      problems: [problem("config", "Configuration", messageOf(error), fix)],
    };
  }
}

async function askRunner(context: CliContext, signal: AbortSignal): Promise<RunnerAnswer> {
  using deadline = withDeadline(signal, ASK_MS, "the runner");
  try {
    using runner = await context.connect();
    const { version } = await runner.ask(readVersion, { path: "/v1/status", signal: deadline });
    return { kind: "answered", version };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { kind: "silent", why: messageOf(error) };
  }
}
