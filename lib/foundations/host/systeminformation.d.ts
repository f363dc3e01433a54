/**
 * Types of the part of systeminformation in use. The published types depend on those of Node, which
 * would replace the runtime's own in the whole project.
 */

/** The library; its answers are checked when they arrive. */
declare const library: {
  osInfo(): Promise<unknown>;
  cpu(): Promise<Readonly<Record<string, unknown>>>;
  system(): Promise<unknown>;
  currentLoad(): Promise<unknown>;
  mem(): Promise<unknown>;
  fsSize(): Promise<unknown>;
  networkStats(): Promise<unknown>;
};
export default library;
