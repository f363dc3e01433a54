/**
 * An installation of scripts, a release to upgrade it to, and a stand-in for the service manager.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { systemClock } from "@lib/core/clock.ts";
import { runCommand } from "@lib/foundations/process/run_command.ts";
import { installationAt } from "@lib/features/install/upgrade/installed.ts";
import { UserUnits } from "@lib/features/install/upgrade/units.ts";
import type { UpgradeInput, UpgradePorts } from "@lib/features/install/upgrade/upgrade.ts";
import { releaseInstaller } from "../../tools/release/installer.ts";
import { formatChecksums, sha256Of } from "../../tools/release/checksums.ts";
import { archiveName } from "../../tools/build/layout.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const LIB = "lib/cicd-toolkit";

/** A release of scripts. */
export interface StageRelease {
  readonly version: string;
  /** The version that its runner answers with. @default The version. */
  readonly answers?: string;
  /** @default {Deno.build.target} */
  readonly target?: string;
  readonly schemas?: Readonly<Record<string, number>>;
  /** Its programs do not run. */
  readonly isBroken?: true;
  /** Its `cicd-runner install` fails. */
  readonly failsToInstall?: true;
}

/** Answers as systemctl does. A restart takes the runner from the drop-in, else from `current`. */
const SYSTEMCTL = `#!/bin/sh
shift
stage=STAGE
drop_in=$XDG_RUNTIME_DIR/systemd/user/cicd-runner.service.d/zz-cicd-upgrade.conf
start() {
  bin=$stage/prefix/lib/cicd-toolkit/current/bin
  [ ! -f "$drop_in" ] || bin=$(sed -n 's/.*"PATH=\\([^:"]*\\).*/\\1/p' "$drop_in")
  pid=$(($(cat "$stage/pid") + 1))
  echo $pid >"$stage/pid"
  cp "$bin/answers" "$stage/running.new" && mv "$stage/running.new" "$stage/running"
}
case "$*" in
*LoadState*) echo loaded ;;
*Environment*) echo "PATH=/usr/bin:/bin A=b" ;;
*.service*Id,* | *Id,*.service*) echo "Id=cicd-runner.service
ActiveState=active
MainPID=$(cat "$stage/pid")" ;;
*Id,*) echo "Id=cicd-runner.socket
ActiveState=active
MainPID=0" ;;
try-restart*cicd-runner.service*) start ;;
start*cicd-runner.service*) start ;;
stop*cicd-runner.service*) rm -f "$stage/running" ;;
esac
`;

/** A stage; disposing removes it. */
export class UpgradeStage implements AsyncDisposable {
  readonly directory: string;

  /** Use {@linkcode openStage}, or the directory of one. */
  constructor(directory: string) {
    this.directory = directory;
  }

  get prefix(): string {
    return `${this.directory}/prefix`;
  }

  get home(): string {
    return `${this.prefix}/${LIB}`;
  }

  /** Where releases are published. */
  get published(): string {
    return `${this.directory}/published`;
  }

  /** The input of an upgrade, from `url` or the directory of the releases. */
  input(options: Partial<UpgradeInput> & { readonly publicKey?: string } = {}): UpgradeInput {
    const { publicKey, ...rest } = options;
    return {
      installation: installationAt(this.prefix),
      source: { url: `file://${this.published}`, publicKey, authority: undefined },
      to: undefined,
      stateDir: `${this.directory}/state`,
      socket: `${this.directory}/socket`,
      ...rest,
    };
  }

  /** The machine. @param onStep Called before each command, request and report. */
  ports(onStep: () => void = () => {}): UpgradePorts & { readonly notes: string[] } {
    const env = {
      PATH: `${this.directory}/bin:/usr/bin:/bin`,
      XDG_RUNTIME_DIR: `${this.directory}/run`,
      HOME: this.directory,
    };
    const run: typeof runCommand = (argv, options) => {
      onStep();
      const [program = "", ...rest] = argv;
      const isStandIn = ["systemctl", "systemd-run", "journalctl"].includes(program);
      return runCommand(
        isStandIn ? [`${this.directory}/bin/${program}`, ...rest] : argv,
        options,
      );
    };
    const unitDir = `${this.directory}/units`;
    const notes: string[] = [];
    const ask = async (path: string) => {
      onStep();
      const version = await this.running();
      if (version === undefined) {
        throw new CicdError("runner_unavailable", "Cannot reach the runner");
      }
      if (path.startsWith("/v1/jobs")) return { jobs: [] };
      const pid = Number(await Deno.readTextFile(`${this.directory}/pid`));
      return { version, pid, ready: true, reasons: [] };
    };
    return {
      run,
      env,
      units: new UserUnits({ run, env, unitDir }),
      clock: systemClock,
      ask,
      askAt: () => ask,
      unitDir,
      self: [`${this.home}/current/bin/cicd-runner`],
      target: Deno.build.target,
      gateMs: 200,
      doing: onStep,
      note: (text) => void notes.push(text),
      notes,
      signal: AbortSignal.timeout(60_000),
    };
  }

  /** The version of the runner that answers. */
  async running(): Promise<string | undefined> {
    const text = await Deno.readTextFile(`${this.directory}/running`).catch(() => "");
    return text === "" ? undefined : text.trim();
  }

  /** The version in use, if its release is complete. */
  async current(link: "current" | "previous" = "current"): Promise<string | undefined> {
    const path = `${this.home}/${link}`;
    const text = await Deno.readTextFile(`${path}/${LIB}/build.json`).catch(() => "{}");
    await Deno.stat(`${path}/bin/cicd-runner`).catch(() => undefined);
    return JSON.parse(text).version;
  }

  /** The names that an upgrade must not leave. */
  async left(): Promise<readonly string[]> {
    const find = new Deno.Command("find", {
      args: [this.prefix, `${this.directory}/run`, `${this.directory}/units`, "-name", "*.tmp*"]
        .concat(["-o", "-name", "*upgrade*", "!", "-name", "upgrade.lock"]),
    });
    const found = new TextDecoder().decode((await find.output()).stdout);
    return found.split("\n").filter((line) => line !== "");
  }

  /** Publishes a release in the place of the one before. */
  async publish(release: StageRelease): Promise<void> {
    const tree = `${this.directory}/tree`;
    await makeTree(tree, release);
    await Deno.remove(this.published, { recursive: true }).catch(() => undefined);
    await Deno.mkdir(this.published);
    const archive = archiveName(Deno.build.target);
    const args = ["-czf", `${this.published}/${archive}`, "-C", tree, "."];
    if (!(await new Deno.Command("tar", { args }).output()).success) throw new Error("tar failed");
    await Deno.remove(tree, { recursive: true });
    const settings = { version: release.version, baseUrl: undefined, publicKey: undefined };
    const installer = releaseInstaller(await Deno.readTextFile(`${ROOT}/install.sh`), settings);
    await Deno.writeTextFile(`${this.published}/install.sh`, installer);
    await this.sum();
  }

  /** Writes the checksums of what is published. */
  async sum(): Promise<void> {
    const sums = new Map<string, string>();
    for await (const { name } of Deno.readDir(this.published)) {
      if (!name.startsWith("checksums")) {
        sums.set(name, await sha256Of(`${this.published}/${name}`));
      }
    }
    await Deno.writeTextFile(`${this.published}/checksums.txt`, formatChecksums(sums));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Opens a stage with `installed` in use. @param directory @default A new one. */
export async function openStage(
  installed: StageRelease = { version: "1.0.0" },
  directory?: string,
): Promise<UpgradeStage> {
  const at = directory ?? await Deno.makeTempDir({ prefix: "cicd-upgrade-" });
  const stage = new UpgradeStage(at);
  await makeTree(`${stage.home}/releases/${installed.version}-installed`, installed);
  await Deno.symlink(`releases/${installed.version}-installed`, `${stage.home}/current`);
  for (const name of ["bin", "run", "state", "units"]) await Deno.mkdir(`${at}/${name}`);
  const scripts = {
    systemctl: SYSTEMCTL.replace("STAGE", at),
    "systemd-run": "#!/bin/sh\n",
    journalctl: "#!/bin/sh\necho a line of the journal\n",
  };
  for (const [name, text] of Object.entries(scripts)) {
    await Deno.writeTextFile(`${at}/bin/${name}`, text, { mode: 0o755 });
  }
  await Deno.writeTextFile(`${at}/pid`, "100\n");
  await Deno.writeTextFile(`${at}/running`, `${installed.version}\n`);
  return stage;
}

async function makeTree(path: string, release: StageRelease): Promise<void> {
  const { version, answers = version, target = Deno.build.target, schemas } = release;
  const { failsToInstall, isBroken } = release;
  await Deno.mkdir(`${path}/bin`, { recursive: true });
  await Deno.mkdir(`${path}/${LIB}`, { recursive: true });
  const info = { version, layout: "shared-runtime", deno: "2.9.6", target, schemas };
  const text = JSON.stringify(info, null, 2);
  await Deno.writeTextFile(`${path}/${LIB}/build.json`, text);
  const install = failsToInstall ? "echo 'failed  write: no'; exit 1" : "restart";
  const program = `#!/bin/sh
restart() { "\${HOME}/bin/systemctl" --user try-restart cicd-runner.service; }
${isBroken ? "exit 126" : ""}
case $1 in
version) echo '${JSON.stringify(info)}' ;;
install) ${install} ;;
esac
`;
  for (const name of ["cicd-runner", "cicd-agent"]) {
    await Deno.writeTextFile(`${path}/bin/${name}`, program, { mode: 0o755 });
  }
  await Deno.mkdir(`${path}/${LIB}/units`);
  await Deno.writeTextFile(`${path}/${LIB}/units/cicd-runner.service`, "");
  await Deno.writeTextFile(`${path}/bin/answers`, `${answers}\n`);
}
