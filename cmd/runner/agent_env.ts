/**
 * The environment of agents that the runner starts itself.
 *
 * @module
 */
import { catalogOf, type Config } from "@lib/foundations/config/config.ts";
import { JOB_DEFAULTS } from "@lib/spine/spec/keys.ts";
import { FEATURES } from "../features.ts";

/** Variables that every agent gets: of the account, its directories, its helpers and the log. */
const OF_AGENTS = new RegExp(
  "^(?:PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LANG|LANGUAGE|LC_.*|TZ|TERM|NO_COLOR|FORCE_COLOR" +
    "|JOURNAL_STREAM|XDG_.*|DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK|DENO_.*|CICD_.*" +
    "|(?:STATE|RUNTIME|CACHE|CONFIGURATION|CREDENTIALS)_DIRECTORY|SSL_CERT_.*" +
    "|OTEL_EXPORTER_OTLP_(?:TRACES_)?ENDPOINT" +
    "|DOCKER_.*|CONTAINER_HOST|https?_proxy|all_proxy|no_proxy|HTTPS?_PROXY|ALL_PROXY|NO_PROXY)$",
);

/**
 * Returns the part of the runner's environment that its agents need; their jobs run under the same
 * account and can read it.
 *
 * Variables that settings of features without a part in the agent refer to stay here.
 */
export function agentEnv(
  own: Readonly<Record<string, string | undefined>>,
  config: Config,
): Record<string, string> {
  const ofRunner = new Set(
    catalogOf(FEATURES.flatMap(({ agent, sections = [] }) => agent === undefined ? sections : []))
      .keys.keys(),
  );
  const named = new Set([
    ...config.of(JOB_DEFAULTS).passEnv,
    ...[...config.settings].flatMap(([name, { value }]) =>
      !ofRunner.has(name) && typeof value === "string" && value.startsWith("env:")
        ? [value.slice("env:".length)]
        : []
    ),
  ]);
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, value]) =>
      value !== undefined && (named.has(name) || OF_AGENTS.test(name)) ? [[name, value]] : []
    ),
  );
}
