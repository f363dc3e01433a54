/**
 * Writes the setup log of an attempt: endlessly, or with `--done` a few lines
 * and its end. Arguments: the state directory, the job, the mode.
 *
 * @module
 */
import { systemClock } from "@lib/core/clock.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { openSetupLog } from "@lib/spine/logs/setup_log.ts";

if (import.meta.main) {
  const [stateDir = "", id = "", mode] = Deno.args;
  const project = parseProjectName("web");
  const jobId = parseJobId(id);
  if (project === undefined || jobId === undefined) throw new TypeError("bad test ids");
  using log = openSetupLog(attemptDirectory(stateDir, { project, jobId, number: 1 }), {
    clock: systemClock,
    mask: (text) => text,
    onFailure: (error) => {
      throw error;
    },
  });
  const lines = mode === "--done" ? 3 : Infinity;
  for (let at = 0; at < lines; at++) {
    log.say(`line ${at}`);
    // Lets a reader keep up.
    if (at % 64 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  log.done();
}
