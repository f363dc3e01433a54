/**
 * The socket of an agent. In a file without imports: a cold start needs it before anything else.
 *
 * @module
 */

/** Returns the socket path of a project's agent. */
export function agentSocketPath(runtimeDir: string, project: string): string {
  return `${runtimeDir}/agents/${project}.sock`;
}
