/**
 * Renders the configuration for `config show` and `config check`.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { type Config, isMap } from "@lib/foundations/config/config.ts";
import { formatOrigin, projectPath, type Setting } from "@lib/foundations/config/key.ts";

/** Options of the renderers. */
export interface RenderOptions {
  /** Shows or hides the values of jobs' variables, which may be secrets. */
  readonly env: "shown" | "hidden";
}

/** One setting of {@linkcode renderConfigJson}. */
export interface RenderedSetting {
  readonly value: unknown;
  /** `default`, `file:line:column`, `env NAME` or `flag --name`. */
  readonly origin: string;
}

const HIDDEN = "(hidden)";

/**
 * Renders every effective setting as YAML, with its origin as a comment.
 *
 * With variables shown, the text is a file of the same configuration.
 */
export function renderConfigYaml(
  { catalog, settings, projects }: Config,
  options: RenderOptions,
): string {
  const lines: string[] = [];
  const open: string[] = [];
  const write = (path: readonly string[], setting: Setting): void => {
    const sections = path.slice(0, -1);
    let depth = 0;
    while (depth < open.length && open[depth] === sections[depth]) depth++;
    open.length = depth;
    for (const section of sections.slice(depth)) {
      lines.push(`${indent(open.length)}${scalar(section)}:`);
      open.push(section);
    }
    const name = scalar(path.at(-1) ?? "");
    const value = flow(options.env === "hidden" ? hideEnv(setting.value) : setting.value);
    lines.push(`${indent(open.length)}${name}: ${value} # ${comment(setting)}`);
  };

  for (const name of catalog.keys.keys()) {
    const setting = settings.get(name);
    if (setting !== undefined) write(name.split("."), setting);
  }
  if (projects.size > 0) lines.push("projects:");
  for (const project of projects) {
    const own = [...catalog.projectKeys.keys()].flatMap((name) => {
      const setting = settings.get(projectPath(project, name));
      return setting === undefined ? [] : [{ name, setting }];
    });
    open.length = 0;
    open.push("projects");
    if (own.length === 0) lines.push(`${indent(1)}${scalar(project)}: {}`);
    for (const { name, setting } of own) {
      write(["projects", project, ...name.split(".")], setting);
    }
  }
  return lines.join("\n") + "\n";
}

/** Renders every effective setting with its origin, by its path. */
export function renderConfigJson(
  { settings }: Config,
  options: RenderOptions,
): Readonly<Record<string, RenderedSetting>> {
  return Object.fromEntries(
    settings.entries().map(([path, { value, origin }]) => [path, {
      value: options.env === "hidden" ? hideEnv(value) : value,
      origin: formatOrigin(origin),
    }]),
  );
}

/** Renders a refused configuration, one problem a line: `file:line:column: what is wrong`. */
export function renderProblems(error: unknown): readonly string[] {
  if (!(error instanceof CicdError) || error.issues.length === 0) {
    return [oneLine(messageOf(error))];
  }
  return error.issues.map(({ path, message }) => oneLine(`${path}: ${message}`));
}

/** Hides the values of maps: only jobs' variables are maps. */
function hideEnv(value: unknown): unknown {
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.keys(value).map((name) => [name, HIDDEN]));
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (isMap(value)) {
    const entries = Object.entries(value).map(([name, each]) => `${scalar(name)}: ${flow(each)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return typeof value === "string" ? scalar(value) : String(value);
}

/** Quotes any text that YAML might read as another type. */
function scalar(text: string): string {
  const plain = /^(?:[A-Za-z_~/$][A-Za-z0-9_./$@-]*|\d+[a-z]+|\d+[KMGT])$/.test(text) &&
    !/^(?:~|true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return plain ? text : JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function comment({ origin }: Setting): string {
  return oneLine(formatOrigin(origin));
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, "\u{fffd}");
}

function indent(depth: number): string {
  return "  ".repeat(depth);
}
