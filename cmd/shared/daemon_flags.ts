/**
 * The flags of the two daemons: one for every key of the configuration.
 *
 * Read with the platform's own parser: a daemon's start must not wait for the
 * command line's library.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { catalogOf } from "@lib/foundations/config/config.ts";
import { flagNameOf } from "@lib/foundations/config/key.ts";
import { SECTIONS } from "./config_sections.ts";

/** Flags as given. */
export interface DaemonFlags {
  /** Of `--config`. */
  readonly configPath: string | undefined;
  /** Settings by key path. */
  readonly settings: ReadonlyMap<string, string>;
  /** Flags beside the configuration's, such as `session-id`. */
  readonly own: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads a daemon's arguments.
 *
 * @param own Names of the flags beside the configuration's; each takes a text.
 * @throws {CicdError} `usage`
 */
export function readDaemonFlags(args: readonly string[], own: readonly string[]): DaemonFlags {
  const names = new Map(
    [...catalogOf(SECTIONS).keys.keys()].map((path) => [flagNameOf(path).slice(2), path]),
  );
  const options = Object.fromEntries(
    ["config", ...own, ...names.keys()].map((name) => [name, { type: "string" as const }]),
  );
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true });
    const settings = new Map<string, string>();
    for (const [name, path] of names) {
      const value = values[name];
      if (typeof value === "string") settings.set(path, value);
    }
    const text = (name: string) => {
      const value = values[name];
      return typeof value === "string" ? value : undefined;
    };
    return {
      configPath: text("config"),
      settings,
      own: Object.fromEntries(own.map((name) => [name, text(name)])),
    };
  } catch (error) {
    throw new CicdError("usage", `Cannot read the command line: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The flags again, for a child that is to have the same settings. */
export function toDaemonArgs({ configPath, settings }: DaemonFlags): readonly string[] {
  return [
    ...(configPath === undefined ? [] : [`--config=${configPath}`]),
    ...[...settings].map(([path, value]) => `${flagNameOf(path)}=${value}`),
  ];
}
