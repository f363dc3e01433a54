/**
 * Socket paths, whose length the kernel limits.
 *
 * @module
 */
import type { FieldIssue } from "@lib/core/errors.ts";
import { PROJECT_NAME_MAX } from "@lib/core/ids.ts";
import { socketPathMax } from "@lib/core/socket_path_max.ts";
import { agentSocketPath } from "@lib/foundations/config/agent_socket.ts";
import type { Config } from "@lib/foundations/config/config.ts";
import { formatOrigin, type Key } from "@lib/foundations/config/key.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";

/** Finds socket paths that are too long for the kernel. */
export function socketIssues(config: Config): readonly FieldIssue[] {
  const { socket, runtimeDir } = config.of(PROGRAM);
  const issue = ({ name }: Key<string>, excess: number, what: string): readonly FieldIssue[] => {
    if (excess <= 0) return [];
    const origin = config.settings.get(name)?.origin ?? { kind: "default" };
    const message = `${name} is ${excess} bytes too long for ${what}; choose a shorter path`;
    return [{ path: formatOrigin(origin), message }];
  };
  return [
    ...issue(PROGRAM.keys.socket, excessBytes(socket), "a Unix socket"),
    ...[...config.projects, "x"].flatMap((project) =>
      issue(
        PROGRAM.keys.runtimeDir,
        excessBytes(agentSocketPath(runtimeDir, project)),
        `the socket of ${project === "x" ? "any agent" : `the agent of ${project}`}`,
      )
    ),
  ];
}

/** Warns if the longest project names do not fit into a socket path. */
export function socketWarnings(runtimeDir: string): readonly string[] {
  const surplus = excessBytes(agentSocketPath(runtimeDir, "x".repeat(PROJECT_NAME_MAX)));
  return surplus <= 0 ? [] : [
    `runtime_dir "${runtimeDir}" is long: project names of more than ` +
    `${PROJECT_NAME_MAX - surplus} characters do not fit into the path of a socket`,
  ];
}

function excessBytes(path: string): number {
  return new TextEncoder().encode(path).byteLength - socketPathMax();
}
