/**
 * Stable ids of messages that programs may wait for.
 *
 * `journalctl --user MESSAGE_ID=…` finds every occurrence of one, whatever its wording. An id is
 * never changed or reused.
 *
 * @module
 */

/** Ids by event; 128 random bits each, in hexadecimal. */
export const MESSAGE_IDS = {
  /** A program listens and accepts work. */
  ready: "80c429ac169b4ac1a77f64602f765596",
  /** A program ends because it was asked to. */
  stopping: "9c4a64f43f9142808a8fd1781484a581",
  /** A program ends because it is idle. */
  idleExit: "4f58138cd7aa40b686478a5ff06b7d93",
  /** A new configuration is in effect. */
  configReloaded: "95bb1061fdef413b9c9b47385924db10",
  /** A new configuration was refused; the old one stays in effect. */
  configRefused: "48adb85c7ca94389a552c94e53fb76fb",
  /** A job's row is on disk. */
  jobQueued: "ce16e0d1ccbc40cb980d61ff20176d94",
  /** An attempt of a job runs. */
  jobStarted: "72120b89baa140b5a0e1de8958671ded",
  /** A job reached a terminal state. */
  jobEnded: "2f0b12aba41949db9e2987cb4502c310",
  /** Someone asked for a job to be stopped. */
  jobCancelRequested: "977d16b9e7a048ceb37e3b360852fae5",
  /** A further attempt will be made. */
  jobRetried: "1a7d4b058f254376891a7a03762e06fc",
  /** An attempt started by an earlier process continues under this one. */
  jobAdopted: "d131952b190b4f08931cb2bc74e969dd",
  /** An attempt failed to start; the suite, not the job, failed. */
  jobStartFailed: "9eaca62f67bd475c8d6f93b42568177c",
  /** New jobs are refused or held on request. */
  intakeChanged: "3f178f3f8b6f42ee9cb21beb3ffd7d9d",
  /** The agent of a project cannot be reached. */
  agentLost: "e9817c53daf14e649a50d5e59e2b2a46",
  /** The agent of a project can be reached again. */
  agentBack: "42472b5367d642cfb5b35f21d6de1bf1",
  /** There is less free disk space than configured. */
  diskLow: "0cd9f52a365b451c9d2ec0155c377833",
  /** Old jobs were removed. */
  retentionRan: "57fdb66514e04d5d996f3b7c0ae582fa",
  /** The watchdog ping is withheld. */
  unhealthy: "970f9ca695e448a293f5a9c4834cb3bd",
  /** A background task failed. */
  taskFailed: "635ea833de024abd82a66cb7d72b380d",
} as const satisfies Readonly<Record<string, string>>;
