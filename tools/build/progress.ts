/**
 * Reports the progress of a build: text on stderr, or JSON lines on stdout.
 *
 * @module
 */

/** Reports the steps of a build. */
export interface Progress {
  /** Begins a step; disposing it reports the time it took. */
  step(name: string, detail: string): Disposable;
  /** Reports something that the caller may not expect. */
  warn(message: string): void;
  /** Reports the end of the build. */
  done(result: Readonly<Record<string, unknown>>): void;
}

/** Returns the reporter of a build. */
export function progress(json: boolean): Progress {
  const started = performance.now();
  const emit = (event: Readonly<Record<string, unknown>>, line: string) =>
    json ? console.log(JSON.stringify(event)) : console.error(line);
  return {
    step(name, detail) {
      const begun = performance.now();
      emit({ event: "begin", step: name, detail }, `  ${name.padEnd(8)} ${detail}`);
      return {
        [Symbol.dispose]() {
          const ms = Math.round(performance.now() - begun);
          if (json) emit({ event: "end", step: name, ms }, "");
        },
      };
    },
    warn(message) {
      emit({ event: "warning", message }, `  WARNING  ${message}`);
    },
    done(result) {
      const ms = Math.round(performance.now() - started);
      const what = Object.entries(result).map(([key, value]) => `${key} ${String(value)}`);
      emit({ event: "done", ms, ...result }, `  done     ${what.join(", ")} (${ms} ms)`);
    },
  };
}
