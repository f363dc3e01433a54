/**
 * The configuration in force, and its reload.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { GIT } from "@lib/features/checkout/keys.ts";
import { CONTAINERS } from "@lib/features/containers/keys.ts";
import { withGrytListener } from "@lib/features/gryt/settings.ts";
import { QUEUE } from "@lib/spine/queue/keys.ts";
import type { RequestDefaults } from "@lib/spine/spec/job_request.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { type DaemonFlags, readDaemonConfig } from "../shared/daemon_flags.ts";

/** The source of the configuration, beside its file. */
interface ConfigSource {
  readonly flags: DaemonFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Read = Awaited<ReturnType<typeof read>>;

/** The configuration in force. */
export class ConfigHolder {
  readonly #source: ConfigSource;
  #config: Config;
  #stamp: string;

  constructor(source: ConfigSource, { config, stamp }: Read) {
    this.#source = source;
    this.#config = config;
    this.#stamp = stamp;
  }

  /** Reads it for the first time. @throws {CicdError} `invalid_config` */
  static async open(source: ConfigSource, signal: AbortSignal) {
    const found = await read(source, signal);
    return { holder: new ConfigHolder(source, found), warnings: found.warnings };
  }

  get current(): Config {
    return this.#config;
  }

  /** Changes with the text of its file. */
  get stamp(): string {
    return this.#stamp;
  }

  /**
   * Reads it again; on an error the one in force stays.
   *
   * @returns The keys whose change needs a restart, and warnings.
   * @throws {CicdError} `invalid_config`
   */
  async reload(signal: AbortSignal) {
    const { config, stamp, warnings } = await read(this.#source, signal);
    const needsRestart = config.needsRestart(this.#config);
    this.#config = config;
    this.#stamp = stamp;
    return { needsRestart, warnings };
  }

  /** Returns the defaults of a project for what a job request leaves out. */
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

  /** Returns how many jobs of a project may run at once. */
  maxRunningOf(project: ProjectName): number {
    return this.#config.ofProject(QUEUE, project).maxRunning;
  }
}

async function read({ flags, env }: ConfigSource, signal: AbortSignal) {
  const found = await readDaemonConfig(flags, signal);
  return { ...found, config: withGrytListener(found.config, env) };
}
