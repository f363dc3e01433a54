/**
 * Records the split log of attempt 1 until it is killed; its one argument is
 * the state directory.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { recordLog } from "@lib/spine/logs/log_recorder.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { directoryIn } from "./log_files.ts";

if (import.meta.main) {
  const recording = recordLog({
    directory: directoryIn(Deno.args[0] ?? "", 1),
    output: "split",
    maxBytes: 1 << 30,
    clock: systemClock,
    watcher: new LogWatcher({ clock: systemClock }),
    onFailure: (error) => {
      throw error;
    },
    signal: new AbortController().signal,
  });
  await Deno.stdin.read(new Uint8Array(1));
  await recording.finish();
}
