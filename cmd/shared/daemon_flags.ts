/**
 * The flags of the two daemons: one for every key of the configuration.
 *
 * Parsed by the platform's own parser: a daemon's start must not wait for the command line's
 * library.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { flagNameOf } from "@lib/foundations/config/key.ts";
import { readConfig, type ReadConfigResult } from "@lib/foundations/config/read.ts";
import { SECTIONS } from "./config_sections.ts";

/** The flags of a daemon. */
export interface DaemonFlags {
  /** Of `--config`. */
  readonly configPath: string | undefined;
  /** Settings by key path. */
  readonly settings: ReadonlyMap<string, string>;
  /** Other flags, such as `session-id`. */
  readonly own: Readonly<Record<string, string | undefined>>;
}

/**
 * Parses a daemon's arguments.
 *
 * @param own Names of the other flags; each takes a text.
 * @throws {CicdError} `usage`
 */
export function readDaemonFlags(args: readonly string[], own: readonly string[] = []): DaemonFlags {
  const names = new Map(
    [...catalogOf(SECTIONS).keys.keys()].map((path) => [flagNameOf(path).slice(2), path]),
  );
  const options = Object.fromEntries(
    ["config", ...own, ...names.keys()].map((name) => [name, { type: "string" as const }]),
  );
  let values: Readonly<Record<string, string | undefined>>;
  try {
    ({ values } = parseArgs({ args: [...args], options, strict: true }));
  } catch (error) {
    throw new CicdError("usage", `Cannot read the command line: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const settings = new Map<string, string>();
  for (const [name, path] of names) {
    const value = values[name];
    if (value !== undefined) settings.set(path, value);
  }
  return {
    configPath: values["config"],
    settings,
    own: Object.fromEntries(own.map((name) => [name, values[name]])),
  };
}

/** Reads the configuration with a daemon's flags. @throws {CicdError} `invalid_config` */
export function readDaemonConfig(
  { configPath, settings }: DaemonFlags,
  signal: AbortSignal,
): Promise<ReadConfigResult> {
  const path = configPath === undefined ? {} : { path: configPath };
  return readConfig({ sections: SECTIONS, flags: settings, signal, ...path });
}

/** Formats the flags again, for a child with the same settings. */
export function toDaemonArgs({ configPath, settings }: DaemonFlags): readonly string[] {
  return [
    ...(configPath === undefined ? [] : [`--config=${configPath}`]),
    ...[...settings].map(([path, value]) => `${flagNameOf(path)}=${value}`),
  ];
}
