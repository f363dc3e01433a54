/**
 * Who asks, and what they may.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";

/** What a key may be allowed; `admin` holds the others. */
export const SCOPES = ["submit", "read", "admin"] as const;

/** One of {@linkcode SCOPES}. */
export type Scope = typeof SCOPES[number];

/** Who asks. */
export type Caller =
  /** This account itself, over the Unix socket: everything is allowed. */
  | { readonly kind: "local" }
  /** Someone with a key. */
  | KeyCaller
  /** Someone who has shown no key, on a route that asks for none. */
  | { readonly kind: "anonymous"; readonly address: string };

/** Someone with a key. */
export interface KeyCaller {
  readonly kind: "key";
  /** Of the key; it is no secret. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Absent: all of them. */
  readonly projects?: readonly ProjectName[];
}

/** The caller behind the Unix socket. */
export const LOCAL_CALLER: Caller = { kind: "local" };

/** Whether a caller may do what `scope` names. */
export function hasScope(caller: Caller, scope: Scope): boolean {
  switch (caller.kind) {
    case "local":
      return true;
    case "key":
      return caller.scopes.includes(scope) || caller.scopes.includes("admin");
    case "anonymous":
      return false;
  }
}

/** The projects a caller is confined to; `undefined` if to none. */
export function projectsOf(caller: Caller): readonly ProjectName[] | undefined {
  switch (caller.kind) {
    case "local":
      return undefined;
    case "key":
      return caller.projects;
    case "anonymous":
      return [];
  }
}

/** Whether a caller may know of `project`. */
export function seesProject(caller: Caller, project: ProjectName): boolean {
  return projectsOf(caller)?.includes(project) ?? true;
}

/** Names the caller in a record: `by request`, `by key CI (0f…)`. */
export function shownCaller(caller: Caller): string {
  return caller.kind === "key" ? `by key ${caller.name} (${caller.id})` : "by request";
}

/** @throws {CicdError} `forbidden` if the caller may not submit jobs to `project`. */
export function assertMaySubmit(caller: Caller, project: ProjectName): void {
  if (seesProject(caller, project)) return;
  throw new CicdError(
    "forbidden",
    `Cannot submit to project "${project}": this key is for ${projectsOf(caller)?.join(", ")}`,
  );
}
