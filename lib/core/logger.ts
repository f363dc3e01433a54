/**
 * Logging as a port, so that every layer can be given one.
 *
 * @module
 */

/**
 * What belongs to a message.
 *
 * Names are camelCase (`jobId`, `project`, `attempt`, `errorCode`); the writer
 * turns them into the names of its format. Two names mean more: `error` holds
 * anything thrown and is written with its code and causes, `messageId` is a
 * 128-bit id of `lib/foundations/log/message_ids.ts`.
 */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Takes messages.
 *
 * No method throws or waits, whatever it is given. A message is one sentence
 * without a final period, the same text on every occurrence; what varies goes
 * into the fields.
 */
export interface Logger {
  /** For whoever looks for a defect. */
  debug(message: string, fields?: LogFields): void;
  /** The normal course of things. */
  info(message: string, fields?: LogFields): void;
  /** Someone should look, but the work goes on. */
  warning(message: string, fields?: LogFields): void;
  /** Something promised was not done. */
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to each message. */
  child(fields: LogFields): Logger;
}

/** Takes messages and drops them. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warning() {},
  error() {},
  child: () => silentLogger,
};
