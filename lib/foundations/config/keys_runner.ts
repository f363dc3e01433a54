/**
 * Configuration keys of the programs themselves: folders, log, HTTP, queue, TCP listener.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import {
  DAY,
  GIB,
  KIB,
  MIB,
  MINUTE,
  running,
  SECOND,
  zeroToTimerMax,
} from "@lib/foundations/config/key_ranges.ts";
import { choice, duration, integer, path, size, text } from "@lib/core/value_types.ts";

/** Where things lie, how the programs run, what the API and the queue take. */
export const RUNNER_KEYS = {
  socket: key(
    "socket",
    path("absolute"),
    "Unix socket of the runner's API. It is bound by the runner itself only where no service " +
      "manager passes a socket; clients connect to it in any case.",
    "$XDG_RUNTIME_DIR/cicd-runner.sock",
    "`$XDG_RUNTIME_DIR/cicd-runner.sock`; without `XDG_RUNTIME_DIR`, `cicd-runner.sock` in " +
      "`runtime_dir`",
  ),
  stateDir: key(
    "state_dir",
    path("absolute"),
    "Folder of the database, the jobs' logs and the workspaces; mode 0700.",
    "$XDG_STATE_HOME/cicd-toolkit",
    "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/cicd-toolkit`, else " +
      "`~/.local/state/cicd-toolkit`",
  ),
  runtimeDir: key(
    "runtime_dir",
    path("absolute"),
    "Folder of the sockets between the two programs, those of the agents in `agents/`; mode 0700.",
    "$XDG_RUNTIME_DIR/cicd-toolkit",
    "`$XDG_RUNTIME_DIR/cicd-toolkit`; without `XDG_RUNTIME_DIR`, `run` in `state_dir`",
  ),
  agents: key(
    "agents",
    choice(["auto", "systemd", "child"]),
    "How the agent of a project is started: by its systemd socket, or as a child of the runner. " +
      "`auto` takes systemd where a user manager answers.",
    "auto",
  ),
  executor: key(
    "executor",
    choice(["auto", "unit", "direct"]),
    "How a job runs: as a transient systemd unit, or as a plain process group without enforced " +
      "limits. `auto` takes units where a user manager answers.",
    "auto",
  ),
  idleExit: key(
    "idle_exit",
    duration(zeroToTimerMax),
    "The runner exits after so long without a request or an open job, if systemd holds its " +
      "socket. 0: never.",
    "5m",
  ),
  agentIdleExit: key(
    "agent_idle_exit",
    duration(zeroToTimerMax),
    "The same for an agent without jobs. 0: never.",
    "2m",
  ),

  logLevel: key(
    "log.level",
    choice(["debug", "info", "warning", "error"]),
    "The least severe messages that are written.",
    "info",
  ),
  logFormat: key(
    "log.format",
    choice(["auto", "journal", "text", "json"]),
    "`journal` sends native fields to journald, `text` and `json` write to stderr. `auto` takes " +
      "the journal under systemd and text elsewhere.",
    "auto",
  ),

  httpMaxBody: key(
    "http.max_body",
    size({ min: KIB, max: GIB }),
    "Largest body of a request; more is answered with 413.",
    "12M",
  ),
  httpMaxHeader: key(
    "http.max_header",
    size({ min: KIB, max: MIB }),
    "Largest header of a request; more is answered with 431.",
    "16K",
  ),
  httpMaxConnections: key(
    "http.max_connections",
    integer({ min: 1, max: 65_536 }),
    "Open connections, followers of logs included; one more is answered with 503.",
    512,
  ),
  httpBodyTimeout: key(
    "http.body_timeout",
    duration({ min: SECOND, max: 60 * MINUTE }),
    "How long a request may take to arrive; later it is answered with 408.",
    "30s",
  ),

  queueMaxQueued: key(
    "queue.max_queued",
    integer({ min: 1, max: 10_000_000 }),
    "Jobs that may wait, over all projects; one more is answered with 429.",
    20_000,
  ),
  queueMaxRunning: key(
    "queue.max_running",
    integer(running),
    "Jobs that may run at once, over all projects.",
    undefined,
    "twice the number of cores, at least 4",
  ),
  queueAgeing: key(
    "queue.ageing",
    duration({ min: 0, max: DAY }),
    "A waiting job gains one step of priority per so much time, so that none waits for ever. " +
      "0: never.",
    "1m",
  ),
} as const;

/** The TCP listener. */
export const LISTEN_KEYS = {
  listenAddress: key(
    "listen.address",
    text(
      "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or a port alone",
      /^(?:(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):)?\d{1,5}$/,
    ),
    "TCP address of the API, besides the Unix socket; a port alone listens on loopback. Every " +
      "request there needs a key (`cicd-runner keys create`).",
    undefined,
    "none: there is no TCP listener",
  ),
  listenTlsCertificate: key(
    "listen.tls_certificate",
    path("absolute"),
    "PEM file of the certificate chain; with `listen.tls_key` the TCP listener speaks TLS.",
  ),
  listenTlsKey: key(
    "listen.tls_key",
    path("absolute"),
    "PEM file of the private key; mode 0600.",
  ),
  listenRate: key(
    "listen.requests_per_minute",
    integer({ min: 1, max: 1_000_000 }),
    "Requests that one key may make in a minute; more are answered with 429.",
    600,
  ),
} as const;
