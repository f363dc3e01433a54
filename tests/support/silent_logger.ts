import type { Logger } from "@lib/core/logger.ts";

/** Drops every message. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warning() {},
  error() {},
  child: () => silentLogger,
};
