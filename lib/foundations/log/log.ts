/**
 * The log of a program: levels, children, formats and where lines go.
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

/** Opens a log. */
export function openLog(options: LogOptions): Log {
  let threshold = LOG_LEVELS.indexOf(options.level);
  const emitter: Emitter = { options, isOff: (level) => LOG_LEVELS.indexOf(level) < threshold };
  const flush = () => options.stderr.flush();
  return {
    ...makeLogger(emitter, {}),
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

interface Emitter {
  readonly options: LogOptions;
  readonly isOff: (level: Level) => boolean;
}

type LogMethod = (message: string, fields?: LogFields) => void;

function makeLogger(emitter: Emitter, base: LogFields): Logger {
  const { isOff, options } = emitter;
  const { format, stderr, redact = (text: string) => text } = options;
  const method = (level: Level): LogMethod => {
    // In the journal, warnings and errors carry the place of their call.
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
        // A log that fails must not take its caller along, nor fail unseen.
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
