/**
 * A logger that keeps what it is told.
 *
 * @module
 */
import type { LogFields, Logger } from "@lib/core/logger.ts";

/** A message as it was logged. */
export interface LoggedMessage {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps messages, those of its children included. */
export class RecordingLogger implements Logger {
  readonly messages: LoggedMessage[] = [];

  debug(message: string, fields: LogFields = {}): void {
    this.messages.push({ level: "debug", message, fields });
  }

  info(message: string, fields: LogFields = {}): void {
    this.messages.push({ level: "info", message, fields });
  }

  warning(message: string, fields: LogFields = {}): void {
    this.messages.push({ level: "warning", message, fields });
  }

  error(message: string, fields: LogFields = {}): void {
    this.messages.push({ level: "error", message, fields });
  }

  child(): Logger {
    return this;
  }

  /** Messages of a level. */
  of(level: LoggedMessage["level"]): readonly string[] {
    return this.messages.filter((one) => one.level === level).map(({ message }) => message);
  }
}
