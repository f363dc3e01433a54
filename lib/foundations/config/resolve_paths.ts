/**
 * Makes the paths among the settings absolute.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { PROJECT_NAME_MAX, type ProjectName } from "@lib/core/ids.ts";
import type { Key } from "@lib/foundations/config/key.ts";
import { KEYS } from "@lib/foundations/config/keys.ts";
import { PROJECT_KEYS } from "@lib/foundations/config/keys_project.ts";
import { formatOrigin } from "@lib/foundations/config/origin.ts";
import {
  expandPath,
  grantedStateDir,
  placeOf,
  type Places,
  SOCKET_PATH_MAX_BYTES,
} from "@lib/foundations/config/paths.ts";
import { projectPath, type Setting } from "@lib/foundations/config/setting.ts";

/**
 * Expands every path among `settings`, in place.
 *
 * Where `XDG_RUNTIME_DIR` is not set, the sockets move below the state folder.
 *
 * @returns What is wrong.
 */
export function resolvePaths(
  settings: Map<string, Setting>,
  projects: Iterable<ProjectName>,
  places: Places,
): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];

  const expand = (path: string, key: Key<unknown>): void => {
    const setting = settings.get(path);
    if (setting === undefined || typeof setting.value !== "string") return;
    const { value, origin } = setting;
    if (key.path === "any" && !/^[~$%/]/.test(value)) {
      const message = relativePathProblem(value);
      if (message !== undefined) issues.push(issue(path, setting, message));
      return;
    }
    const expanded = expandPath(value, places);
    if (expanded.kind === "path") settings.set(path, { value: expanded.path, origin });
    else issues.push(issue(path, setting, expanded.message));
  };
  const move = (key: Key<unknown>, below: Key<unknown>, name: string): void => {
    if (settings.get(key.name)?.origin.kind !== "default") return;
    const value = `${settings.get(below.name)?.value}/${name}`;
    settings.set(key.name, { value, origin: { kind: "default" } });
  };
  const homeless = placeOf("XDG_RUNTIME_DIR", places) === undefined;

  const granted = grantedStateDir(places);
  if (granted !== undefined && settings.get(KEYS.stateDir.name)?.origin.kind === "default") {
    const origin = { kind: "env", name: "STATE_DIRECTORY" } as const;
    settings.set(KEYS.stateDir.name, { value: granted, origin });
  }
  expand(KEYS.stateDir.name, KEYS.stateDir);
  if (issues.length > 0) return issues;
  if (homeless) move(KEYS.runtimeDir, KEYS.stateDir, "run");
  expand(KEYS.runtimeDir.name, KEYS.runtimeDir);
  if (issues.length > 0) return issues;
  if (homeless) move(KEYS.socket, KEYS.runtimeDir, "cicd-runner.sock");
  expand(KEYS.socket.name, KEYS.socket);
  expand(KEYS.defaultsShell.name, KEYS.defaultsShell);
  for (const project of projects) {
    expand(projectPath(project, PROJECT_KEYS.workdir.name), PROJECT_KEYS.workdir);
  }
  return issues;
}

/** Finds sockets whose paths are longer than the kernel takes. */
export function socketIssues(
  settings: ReadonlyMap<string, Setting>,
  projects: Iterable<ProjectName>,
): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  const socket = settings.get(KEYS.socket.name);
  const excess = excessBytes(String(socket?.value));
  if (socket !== undefined && excess > 0) {
    const message = `is ${excess} bytes too long for a Unix socket; choose a shorter path`;
    issues.push(issue(KEYS.socket.name, socket, message));
  }
  const runtimeDir = settings.get(KEYS.runtimeDir.name);
  if (runtimeDir === undefined) return issues;
  for (const project of [...projects, "x"]) {
    const surplus = excessBytes(agentSocketPath(String(runtimeDir.value), project));
    if (surplus <= 0) continue;
    const message = `is ${surplus} bytes too long for the socket of ` +
      (project === "x" ? "any agent" : `the agent of ${project}`) + "; choose a shorter path";
    issues.push(issue(KEYS.runtimeDir.name, runtimeDir, message));
  }
  return issues;
}

/** Warns where the longest project names have no room in a socket's path. */
export function socketWarnings(runtimeDir: string): readonly string[] {
  const surplus = excessBytes(agentSocketPath(runtimeDir, "x".repeat(PROJECT_NAME_MAX)));
  return surplus <= 0 ? [] : [
    `runtime_dir "${runtimeDir}" is long: project names of more than ` +
    `${PROJECT_NAME_MAX - surplus} characters have no room in the path of a socket`,
  ];
}

/** The socket of a project's agent. */
export function agentSocketPath(runtimeDir: string, project: string): string {
  return `${runtimeDir}/agents/${project}.sock`;
}

function relativePathProblem(value: string): string | undefined {
  if (value.split("/").includes("..")) return `is "${value}"; '..' is not allowed`;
  return /\p{Cc}/u.test(value) ? "contains a control character" : undefined;
}

function excessBytes(path: string): number {
  return new TextEncoder().encode(path).byteLength - SOCKET_PATH_MAX_BYTES;
}

function issue(path: string, { origin }: Setting, message: string): FieldIssue {
  return { path: formatOrigin(origin), message: `${path} ${message}` };
}
