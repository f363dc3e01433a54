/**
 * The fields of a message.
 *
 * Names are camelCase (`jobId`, `project`, `attempt`, `errorCode`); the writer converts them to its
 * format. Two names are special: `error` is anything thrown and is written with its code and causes,
 * `messageId` is a 128-bit id of `lib/foundations/log/message_ids.ts`.
 */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * The port for log messages.
 *
 * No method throws or waits, whatever its arguments. A message is one sentence without a final
 * period, the same text on every occurrence; the fields hold the details.
 */
export interface Logger {
  /** Details for debugging. */
  debug(message: string, fields?: LogFields): void;
  /** Normal operation. */
  info(message: string, fields?: LogFields): void;
  /** A problem that deserves attention; the work goes on. */
  warning(message: string, fields?: LogFields): void;
  /** A failure of the suite. */
  error(message: string, fields?: LogFields): void;
  /** Returns a logger that adds `fields` to each message. */
  child(fields: LogFields): Logger;
}
