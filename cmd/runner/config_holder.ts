/**
 * The configuration in force, and its reload.
 *
 * @module
 */
import { type Config, containerRules, projectSettings } from "@lib/foundations/config/schema.ts";
import { readConfig } from "@lib/foundations/config/read.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { RequestDefaults } from "@lib/spine/spec/job_request.ts";
import { withGrytListener } from "@lib/features/gryt/listener.ts";

/** Where the configuration is read from. */
export interface ConfigSource {
  readonly configPath: string | undefined;
  readonly settings: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a reload did. */
export interface ReloadReport {
  /** Keys whose change takes a restart. */
  readonly needsRestart: readonly string[];
  readonly warnings: readonly string[];
}

/** The configuration in force. */
export class ConfigHolder {
  readonly #source: ConfigSource;
  #config: Config;

  constructor(source: ConfigSource, config: Config) {
    this.#source = source;
    this.#config = config;
  }

  /** Reads it for the first time. @throws {CicdError} `invalid_config` */
  static async open(
    source: ConfigSource,
    signal: AbortSignal,
  ): Promise<{ readonly holder: ConfigHolder; readonly warnings: readonly string[] }> {
    const { config, warnings } = await read(source, signal);
    return { holder: new ConfigHolder(source, config), warnings };
  }

  get current(): Config {
    return this.#config;
  }

  /** Reads it anew; on an error the one in force stays. @throws {CicdError} `invalid_config` */
  async reload(signal: AbortSignal): Promise<ReloadReport> {
    const { config, warnings } = await read(this.#source, signal);
    const before = this.#config;
    this.#config = config;
    const needsRestart = (["socket", "stateDir", "runtimeDir", "agents"] as const)
      .filter((key) => config[key] !== before[key]);
    const isOtherListener = config.listen.address !== before.listen.address ||
      (config.listen.tls === undefined) !== (before.listen.tls === undefined);
    return {
      needsRestart: isOtherListener ? [...needsRestart, "listen"] : needsRestart,
      warnings,
    };
  }

  /** What a job request of a project leaves open. */
  defaultsOf(project: ProjectName): RequestDefaults {
    const { shell, env, limits, timeoutMs, graceMs, priority, logMaxBytes, workdir } =
      projectSettings(this.#config, project);
    const containers = containerRules(this.#config, project);
    const known = {
      shell,
      env,
      limits,
      timeoutMs,
      graceMs,
      priority,
      logMaxBytes,
      pull: containers.pull,
      network: containers.network,
      rules: { containers, git: this.#config.git },
    };
    return workdir === undefined ? known : { ...known, workdir };
  }

  /** Jobs of a project that may run at once. */
  maxRunningOf(project: ProjectName): number {
    return projectSettings(this.#config, project).maxRunning;
  }
}

async function read({ configPath, settings, env }: ConfigSource, signal: AbortSignal) {
  const found = await readConfig({
    flags: settings,
    env,
    signal,
    ...(configPath === undefined ? {} : { path: configPath }),
  });
  return { ...found, config: withGrytListener(found.config, env) };
}
