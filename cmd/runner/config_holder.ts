/**
 * The configuration in force, and its reload.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { readConfig } from "@lib/foundations/config/read.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { GIT } from "@lib/features/checkout/keys.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { withGrytListener } from "@lib/features/gryt/settings.ts";
import { QUEUE } from "@lib/spine/queue/keys.ts";
import type { RequestDefaults } from "@lib/spine/spec/job_request.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { SECTIONS } from "../shared/config_sections.ts";

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
    const needsRestart = config.needsRestart(this.#config);
    this.#config = config;
    return { needsRestart, warnings };
  }

  /** What a job request of a project leaves open. */
  defaultsOf(project: ProjectName): RequestDefaults {
    const config = this.#config;
    const containers = config.ofProject(CONTAINERS, project);
    return {
      ...config.ofProject(JOB_DEFAULTS, project),
      pull: containers.pull,
      network: containers.network,
      rules: { containers, git: config.of(GIT) },
    };
  }

  /** Jobs of a project that may run at once. */
  maxRunningOf(project: ProjectName): number {
    return this.#config.ofProject(QUEUE, project).maxRunning;
  }
}

async function read({ configPath, settings, env }: ConfigSource, signal: AbortSignal) {
  const found = await readConfig({
    sections: SECTIONS,
    flags: settings,
    env,
    signal,
    ...(configPath === undefined ? {} : { path: configPath }),
  });
  return { ...found, config: withGrytListener(found.config, env) };
}
