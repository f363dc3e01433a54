/**
 * The one logger of a program, on LogTape.
 *
 * LogTape's configuration is process-wide; this is the only file that touches
 * it, and it puts it back when the log is disposed. Everything else is given a
 * {@linkcode Logger}.
 *
 * @module
 */
import {
  configureSync,
  getLogger,
  type Logger as TapeLogger,
  type LogRecord,
  resetSync,
} from "@logtape/logtape";
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
import { toJournalFields } from "@lib/foundations/log/journal_format.ts";
import { formatJson } from "@lib/foundations/log/json_format.ts";
import type { LineWriter } from "@lib/foundations/log/line_writer.ts";
import { formatPrefixed, formatText } from "@lib/foundations/log/text_format.ts";

/** Options for {@linkcode openLog}. */
export interface LogOptions {
  readonly program: string;
  /** The least severe level that is written. */
  readonly level: Level;
  /** What {@linkcode chooseFormat} chose. */
  readonly format: WrittenFormat;
  /** Colours text. @default {false} */
  readonly colour?: boolean;
  /** Where lines go; flushed, not disposed, with the log. */
  readonly stderr: LineWriter;
  /** Sends native fields; must not wait. A message it throws on goes to `stderr`. */
  readonly journal?: (fields: ReadonlyMap<string, string>) => void;
  /** Takes secrets out of every text, whatever the format. */
  readonly redact?: Redact;
}

/** An open log. */
export interface Log extends Logger, AsyncDisposable {
  /** Changes the least severe level that is written. */
  setLevel(level: Level): void;
  /** Resolves when every message so far is written. */
  flush(): Promise<void>;
}

/**
 * Opens the log of this process.
 *
 * @throws {Error} If the process has an open log.
 */
export function openLog(options: LogOptions): Log {
  const { program } = options;
  let threshold = LOG_LEVELS.indexOf(options.level);
  configureSync({
    sinks: { only: (record) => writeRecord(record, options) },
    loggers: [
      { category: [program], sinks: ["only"], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: ["only"], lowestLevel: "error" },
    ],
  });
  const tape = getLogger([program]);
  const isOff = (level: Level) => LOG_LEVELS.indexOf(level) < threshold;
  let closed = false;
  const flush = () => options.stderr.flush();
  const rescue = () => options.stderr.write("(a message could not be written)");
  return {
    ...makeLogger({ tape, isOff, rescue, places: options.format === "journal" }, {}),
    setLevel(level) {
      threshold = LOG_LEVELS.indexOf(level);
    },
    flush,
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      threshold = LOG_LEVELS.length;
      resetSync();
      await flush();
    },
  };
}

interface Emitter {
  readonly tape: TapeLogger;
  readonly isOff: (level: Level) => boolean;
  /** Whether warnings and errors carry the place of their call. */
  readonly places: boolean;
  /** Says that a message was lost. */
  readonly rescue: () => void;
}

type LogMethod = (message: string, fields?: LogFields) => void;

function makeLogger(emitter: Emitter, base: LogFields): Logger {
  const method = (level: Level): LogMethod => {
    const wantsPlace = emitter.places && (level === "warning" || level === "error");
    const log: LogMethod = (message, fields) => {
      if (emitter.isOff(level)) return;
      try {
        const code = wantsPlace ? callerOf(log) : undefined;
        emitter.tape.emit({
          level,
          message: [message],
          rawMessage: message,
          timestamp: Date.now(),
          properties: fields === undefined ? base : joined(base, fields),
          ...(code === undefined ? {} : { sourceLocation: { ...code, column: 0 } }),
        });
      } catch {
        // A log that fails must not take its caller along, nor fail unseen.
        emitter.rescue();
      }
    };
    return log;
  };
  return {
    debug: method("debug"),
    info: method("info"),
    warning: method("warning"),
    error: method("error"),
    child: (fields) => makeLogger(emitter, { ...base, ...fields }),
  };
}

function joined(base: LogFields, fields: LogFields): LogFields {
  try {
    return { ...base, ...fields };
  } catch {
    // A getter failed: the message is still worth having.
    return { ...base, fields: "(cannot be read)" };
  }
}

function writeRecord(record: LogRecord, options: LogOptions): void {
  const { stderr, redact = (text: string) => text } = options;
  const entry = makeEntry({
    timeMs: record.timestamp,
    level: levelOf(record),
    message: record.message.map(String).join(""),
    fields: record.properties,
    ...(record.sourceLocation === undefined ? {} : { code: record.sourceLocation }),
  }, redact);
  if (sentToJournal(entry, options)) return;
  for (const line of linesOf(entry, options)) stderr.write(line);
}

function sentToJournal(entry: LogEntry, { format, journal, program }: LogOptions): boolean {
  if (format !== "journal" || journal === undefined) return false;
  try {
    journal(toJournalFields(entry, program));
    return true;
  } catch {
    // The journal is away: the service manager still reads stderr.
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

/** LogTape's own records may have levels that are not ours. */
function levelOf({ level }: LogRecord): Level {
  switch (level) {
    case "trace":
    case "debug":
      return "debug";
    case "info":
    case "warning":
      return level;
    case "error":
    case "fatal":
      return "error";
  }
}

/** Where `method` was called from. */
function callerOf(method: LogMethod): CodePlace | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, method);
  const frame = holder.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  const match = /at (?:async )?(?:(.+) \()?(?:file:\/\/)?([^()]+?):(\d+):\d+\)?$/.exec(frame ?? "");
  if (match === null) return undefined;
  const [, name, file = "", line] = match;
  return { file, line: Number(line), ...(name === undefined ? {} : { function: name }) };
}
