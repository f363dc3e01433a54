/**
 * Effective settings, before they become a {@linkcode Config}.
 *
 * @module
 */
import type { Origin } from "@lib/foundations/config/origin.ts";

/** One effective setting. */
export interface Setting {
  /** As a file would hold it, paths expanded. */
  readonly value: unknown;
  readonly origin: Origin;
}

/** Settings by their whole path, as in `projects.web.timeout`. */
export type Settings = ReadonlyMap<string, Setting>;

/** The path of a project, or of one of its settings; names with a dot are quoted. */
export function projectPath(project: string, name?: string): string {
  const shown = /^[A-Za-z0-9_-]+$/.test(project) ? project : JSON.stringify(project);
  return name === undefined ? `projects.${shown}` : `projects.${shown}.${name}`;
}
