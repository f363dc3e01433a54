/**
 * Configuration keys of the programs: directories, log, HTTP, container engine, TCP listener.
 *
 * @module
 */
import {
  choice,
  duration,
  integer,
  path,
  size,
  text,
  TIMER_MAX_MS,
} from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import {
  byDefault,
  type ComputeFallback,
  key,
  type Machine,
  optionalKey,
  together,
  type ValuesOf,
} from "@lib/foundations/config/key.ts";
import { placeOf } from "@lib/foundations/config/paths.ts";
import { GIB, KIB, listenAddress, MIB, MINUTE, SECOND } from "@lib/foundations/config/ranges.ts";

const idle = { min: 0, max: TIMER_MAX_MS };

/** Directories, and how agents and jobs run. */
export const PROGRAM = section({
  keys: {
    socket: key(
      "socket",
      path("absolute"),
      "Unix socket of the runner's API, for clients. The runner binds it itself only if no " +
        "service manager passes a socket.",
      inRuntimeDir("cicd-runner.sock", { below: "runtime_dir", name: "cicd-runner.sock" }),
      {
        text: "`$XDG_RUNTIME_DIR/cicd-runner.sock`; without `XDG_RUNTIME_DIR`, " +
          "`cicd-runner.sock` in `runtime_dir`",
        restart: "changed",
      },
    ),
    stateDir: key(
      "state_dir",
      path("absolute"),
      "Directory of the database, job logs and workspaces; mode 0700.",
      grantedStateDir,
      {
        text: "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/cicd-toolkit`, else " +
          "`~/.local/state/cicd-toolkit`",
        restart: "changed",
      },
    ),
    runtimeDir: key(
      "runtime_dir",
      path("absolute"),
      "Directory of the sockets between the two programs, with those of agents in `agents/`; mode 0700.",
      inRuntimeDir("cicd-toolkit", { below: "state_dir", name: "run" }),
      {
        text: "`$XDG_RUNTIME_DIR/cicd-toolkit`; without `XDG_RUNTIME_DIR`, `run` in `state_dir`",
        restart: "changed",
      },
    ),
    agents: key(
      "agents",
      choice(["auto", "systemd", "child"]),
      "How a project's agent is started: by its systemd socket, or as a child of the runner. " +
        "`auto` uses systemd if a user manager is available.",
      "auto",
      { restart: "changed" },
    ),
    executor: key(
      "executor",
      choice(["auto", "unit", "direct"]),
      "How a job runs: as a transient systemd unit, or as a plain process group without enforced " +
        "limits. `auto` uses units if a user manager is available.",
      "auto",
    ),
    contain: key(
      "direct.contain",
      choice(["auto", "namespace", "marker"]),
      "How `direct` jobs are held together: in a PID namespace, where nothing survives the job, or " +
        "by their session and variables. `auto` uses a namespace where the machine allows one; " +
        "`namespace` refuses jobs where it does not. Only root's namespaces let set-uid programs work.",
      "auto",
    ),
    idleExitMs: key(
      "idle_exit",
      duration(idle),
      "The runner exits after this time without a request or an open job, if systemd holds its " +
        "socket. 0: never.",
      "5m",
    ),
    agentIdleExitMs: key(
      "agent_idle_exit",
      duration(idle),
      "The same for an agent without jobs. 0: never.",
      "2m",
    ),
  },
});

/** Level and format of the log. */
export const LOG = section({
  keys: {
    level: key(
      "log.level",
      choice(["debug", "info", "warning", "error"]),
      "The lowest severity that is logged.",
      "info",
    ),
    format: key(
      "log.format",
      choice(["auto", "journal", "text", "json"]),
      "`journal` sends native fields to journald, `text` and `json` write to stderr. `auto` uses " +
        "the journal under systemd and text elsewhere.",
      "auto",
    ),
  },
});

/** Limits of the API's server. */
export const HTTP = section({
  keys: {
    maxBodyBytes: key(
      "http.max_body",
      size({ min: KIB, max: GIB }),
      "Largest request body; a larger one gets a 413.",
      "12M",
    ),
    maxHeaderBytes: key(
      "http.max_header",
      size({ min: KIB, max: MIB }),
      "Largest request header; a larger one gets a 431.",
      "16K",
    ),
    maxConnections: key(
      "http.max_connections",
      integer({ min: 1, max: 65_536 }),
      "Most open connections, log followers included; one more gets a 503.",
      512,
    ),
    bodyTimeoutMs: key(
      "http.body_timeout",
      duration({ min: SECOND, max: 60 * MINUTE }),
      "Longest time for a request body to arrive; a later one gets a 408.",
      "30s",
    ),
  },
});

/** The container engine, which is detected unless its host is set. */
export const ENGINE = section({
  keys: {
    host: optionalKey(
      "containers.host",
      text(
        "unix:///path or tcp://host:port of a container engine",
        /^(unix:\/\/\/|tcp:\/\/|https?:\/\/)[^\s]+$/,
      ),
      "Address of the container engine.",
      {
        text: "`$DOCKER_HOST`, else `$CONTAINER_HOST`, else the first of the sockets of a " +
          "rootless Docker, a rootless Podman, the system's Docker and the system's Podman",
      },
    ),
  },
});

/** The TCP listener; without an address there is none. */
export const LISTEN = section({
  keys: {
    address: optionalKey(
      "listen.address",
      listenAddress(
        "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or a port alone",
        /^(?:(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):)?\d{1,5}$/,
      ),
      "TCP address of the API, besides the Unix socket; a port alone listens on loopback. Every " +
        "request there needs a key (`cicd-runner keys create`).",
      { text: "none: there is no TCP listener", restart: "changed" },
    ),
    tls: together({
      certificate: optionalKey(
        "listen.tls_certificate",
        path("absolute"),
        "PEM file of the certificate chain; with `listen.tls_key` the TCP listener speaks TLS.",
        { restart: "toggled" },
      ),
      key: optionalKey(
        "listen.tls_key",
        path("absolute"),
        "PEM file of the private key; mode 0600.",
      ),
    }),
    requestsPerMinute: key(
      "listen.requests_per_minute",
      integer({ min: 1, max: 1_000_000 }),
      "Requests per minute and key; more get a 429.",
      600,
    ),
  },
});

/** The values of {@linkcode LISTEN}. */
export type ListenSettings = ValuesOf<typeof LISTEN.keys>;

/** Returns a path in `$XDG_RUNTIME_DIR`, or below another directory if that is unset. */
function inRuntimeDir(
  place: string,
  other: { readonly below: string; readonly name: string },
): ComputeFallback {
  return (machine, valueOf) =>
    byDefault(
      placeOf("XDG_RUNTIME_DIR", machine) === undefined
        ? `${valueOf(other.below)}/${other.name}`
        : `$XDG_RUNTIME_DIR/${place}`,
    );
}

/** Returns the first directory of `$STATE_DIRECTORY`, if the service manager set it. */
function grantedStateDir({ env }: Machine) {
  const granted = env["STATE_DIRECTORY"]?.split(":")[0];
  return granted?.startsWith("/")
    ? { value: granted, origin: { kind: "env", name: "STATE_DIRECTORY" } }
    : byDefault("$XDG_STATE_HOME/cicd-toolkit");
}
