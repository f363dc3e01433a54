/**
 * Configuration keys of jobs and their clients.
 *
 * @module
 */
import { duration } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key } from "@lib/foundations/config/key.ts";
import { DAY, SECOND } from "@lib/foundations/config/ranges.ts";

/** The clients of jobs. */
export const CLIENTS = section({
  keys: {
    patienceMs: key(
      "queue.disconnect_patience",
      duration({ min: SECOND, max: DAY }),
      "Time after which a job whose client has gone is cancelled, if the client asked for that " +
        "(`on_disconnect=cancel`, `cicd-runner run`). A runner that starts waits as long anew.",
      "10s",
    ),
  },
});
