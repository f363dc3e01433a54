/**
 * Reads `deploy/container/Dockerfile`, so that an image made without an engine is the one it describes.
 *
 * @module
 */
import * as v from "valibot";

/** A check of a container's health; times in nanoseconds, as images have them. */
export interface HealthCheck {
  readonly Test: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly Retries?: number;
}

/** An image that is to be made. */
export interface ImagePlan {
  /** Defaults of the arguments, which are also the environment of {@linkcode ImagePlan.script}. */
  readonly args: ReadonlyMap<string, string>;
  /** Shell commands that prepare the root. */
  readonly script: string;
  /** Sources in the release, and their places in the image. */
  readonly copies: readonly (readonly [string, string])[];
  /** Configuration, by the names that images have. */
  readonly config: {
    readonly Env: readonly string[];
    readonly User: string;
    readonly WorkingDir: string;
    readonly Volumes: Readonly<Record<string, Readonly<Record<string, never>>>>;
    readonly StopSignal: string;
    readonly Healthcheck: HealthCheck | undefined;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
  };
}

/**
 * Parses the text.
 *
 * @throws {SyntaxError} If it has an instruction that an image without an engine cannot have.
 */
export function parseDockerfile(text: string): ImagePlan {
  const lines = text.replaceAll(/^[ \t]*#.*\n/gm, "").replaceAll(/\\\n/g, " ").split("\n");
  const args = new Map<string, string>();
  const scripts: string[] = [];
  const copies: [string, string][] = [];
  const env: string[] = [];
  const single = new Map<string, string>();
  for (const line of lines.map((line) => line.trim()).filter((line) => line !== "")) {
    const [, instruction = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    switch (instruction) {
      case "ARG":
        for (const [name, value] of assignments(rest)) args.set(name, value);
        break;
      case "ENV":
        for (const [name, value] of assignments(rest)) env.push(`${name}=${value}`);
        break;
      case "RUN":
        scripts.push(rest.replaceAll(/\s+/g, " "));
        break;
      case "COPY": {
        const [from, to, ...more] = rest.split(/\s+/);
        if (from === undefined || to === undefined || more.length > 0 || from.startsWith("-")) {
          throw new SyntaxError(`Cannot read the Dockerfile: "${line}"`);
        }
        copies.push([from, to]);
        break;
      }
      case "FROM":
      case "USER":
      case "WORKDIR":
      case "VOLUME":
      case "STOPSIGNAL":
      case "HEALTHCHECK":
      case "ENTRYPOINT":
      case "CMD":
        single.set(instruction, rest);
        break;
      default:
        throw new SyntaxError(`Cannot read the Dockerfile: "${line}"`);
    }
  }
  const volume = single.get("VOLUME");
  const health = single.get("HEALTHCHECK");
  return {
    args,
    script: scripts.join("\n"),
    copies,
    config: {
      Env: env,
      User: single.get("USER") ?? "",
      WorkingDir: single.get("WORKDIR") ?? "/",
      Volumes: volume === undefined ? {} : { [volume]: {} },
      StopSignal: single.get("STOPSIGNAL") ?? "SIGTERM",
      Healthcheck: health === undefined ? undefined : healthCheck(health),
      Entrypoint: words(single.get("ENTRYPOINT") ?? "[]"),
      Cmd: words(single.get("CMD") ?? "[]"),
    },
  };
}

/** Parses `NAME=VALUE NAME="VALUE WITH SPACES"`. */
function assignments(text: string): readonly (readonly [string, string])[] {
  return [...text.matchAll(/([A-Z_]+)=(?:"([^"]*)"|(\S*))/g)].map((
    [, name = "", quoted, bare = ""],
  ) => [name, quoted ?? bare]);
}

const wordList = v.pipe(v.string(), v.parseJson(), v.array(v.string()));

/** Parses the form of a command that no shell reads. */
function words(json: string): readonly string[] {
  const parsed = v.safeParse(wordList, json);
  if (parsed.success) return parsed.output;
  throw new SyntaxError(`Cannot read the Dockerfile: "${json}" is not a list of words`);
}

const HEALTH_FIELDS = [
  ["interval", "Interval"],
  ["timeout", "Timeout"],
  ["start-period", "StartPeriod"],
] as const;

function healthCheck(text: string): HealthCheck {
  const [options = "", command = ""] = text.split(/\bCMD\s+/);
  const times = HEALTH_FIELDS.flatMap(([option, field]) => {
    const seconds = new RegExp(`--${option}=(\\d+)s`).exec(options)?.[1];
    return seconds === undefined ? [] : [[field, Number(seconds) * 1e9]];
  });
  const retries = /--retries=(\d+)/.exec(options)?.[1];
  return {
    Test: ["CMD", ...words(command)],
    ...Object.fromEntries(times),
    ...retries === undefined ? {} : { Retries: Number(retries) },
  };
}
