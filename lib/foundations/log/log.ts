/**
 * The log of a program: levels, children, formats and outputs.
 *
 * @module
 */
import type { LogFields, Logger } from "@lib/core/logger.ts";
import type { WrittenFormat } from "@lib/foundations/log/choose_format.ts";
import {
  type CodePlace,
  type Level,
  LOG_LEVELS,
  type LogEntry,
  makeEntry,
  type Redact,
} from "@lib/foundations/log/entry.ts";
import {
  formatJson,
  formatPrefixed,
  formatText,
  toJournalFields,
} from "@lib/foundations/log/formats.ts";
import type { LineWriter } from "@lib/foundations/log/line_writer.ts";

/** Options for {@linkcode openLog}. */
export interface LogOptions {
  readonly program: string;
  /** `SYSLOG_IDENTIFIER` in the journal. @default {program} */
  readonly identifier?: string;
  /** The least severe level that is written. */
  readonly level: Level;
  /** The choice of {@linkcode chooseFormat}. */
  readonly format: WrittenFormat;
  /** Colours text. @default {false} */
  readonly colour?: boolean;
  /** Writes lines; flushed, not disposed, with the log. */
  readonly stderr: LineWriter;
  /** Sends native fields without waiting. If it throws, the message goes to `stderr`. */
  readonly journal?: (fields: ReadonlyMap<string, string>) => void;
  /** Removes secrets from every text, whatever the format. */
  readonly redact?: Redact;
}

/** An open log. */
export interface Log extends Logger, AsyncDisposable {
  /** Changes the least severe level that is written. */
  setLevel(level: Level): void;
  /** Resolves when every message so far is written. */
  flush(): Promise<void>;
}

/** Opens a log. */
export function openLog(options: LogOptions): Log {
  let threshold = LOG_LEVELS.indexOf(options.level);
  const isOff = (level: Level) => LOG_LEVELS.indexOf(level) < threshold;
  const flush = () => options.stderr.flush();
  return {
    ...makeLogger(options, isOff, {}),
    setLevel(level) {
      if (threshold < LOG_LEVELS.length) threshold = LOG_LEVELS.indexOf(level);
    },
    flush,
    async [Symbol.asyncDispose]() {
      threshold = LOG_LEVELS.length;
      await flush();
    },
  };
}

type LogMethod = (message: string, fields?: LogFields) => void;

function makeLogger(
  options: LogOptions,
  isOff: (level: Level) => boolean,
  base: LogFields,
): Logger {
  const { format, stderr, redact = (text: string) => text } = options;
  const method = (level: Level): LogMethod => {
    // In the journal, warnings and errors carry their place in the source.
    const wantsPlace = format === "journal" && (level === "warning" || level === "error");
    const log: LogMethod = (message, fields) => {
      if (isOff(level)) return;
      try {
        const code = wantsPlace ? callerOf(log) : undefined;
        const entry = makeEntry({
          timeMs: Date.now(),
          level,
          message,
          fields: fields === undefined ? base : joined(base, fields),
          ...(code === undefined ? {} : { code }),
        }, redact);
        if (sentToJournal(entry, options)) return;
        for (const line of linesOf(entry, options)) stderr.write(line);
      } catch {
        // A failing log must not fail its caller, nor fail silently.
        stderr.write("(a message could not be written)");
      }
    };
    return log;
  };
  return {
    debug: method("debug"),
    info: method("info"),
    warning: method("warning"),
    error: method("error"),
    child: (fields) => makeLogger(options, isOff, { ...base, ...fields }),
  };
}

function joined(base: LogFields, fields: LogFields): LogFields {
  try {
    return { ...base, ...fields };
  } catch {
    // A getter failed: the message is still useful.
    return { ...base, fields: "(cannot be read)" };
  }
}

function sentToJournal(entry: LogEntry, options: LogOptions): boolean {
  const { format, journal, program, identifier = program } = options;
  if (format !== "journal" || journal === undefined) return false;
  try {
    journal(toJournalFields(entry, identifier));
    return true;
  } catch {
    // The journal is unavailable: the service manager still reads stderr.
    return false;
  }
}

function linesOf(entry: LogEntry, { format, program, colour }: LogOptions): readonly string[] {
  switch (format) {
    case "text":
      return formatText(entry, { colour: colour ?? false });
    case "json":
      return [formatJson(entry, program)];
    case "journal":
    case "prefixed":
      return formatPrefixed(entry);
  }
}

/** Returns the caller of `method`. */
function callerOf(method: LogMethod): CodePlace | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, method);
  const frame = holder.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  const match = /at (?:async )?(?:(.+) \()?(?:file:\/\/)?([^()]+?):(\d+):\d+\)?$/.exec(frame ?? "");
  if (match === null) return undefined;
  const [, name, file = "", line] = match;
  return { file, line: Number(line), ...(name === undefined ? {} : { function: name }) };
}
