/**
 * The TCP listener that Gryt's variables ask for.
 *
 * @module
 */
import type { Config } from "@lib/foundations/config/config.ts";
import { LISTEN } from "@lib/foundations/config/program_keys.ts";
import { GRYT } from "@lib/features/gryt/keys.ts";
import { grytListenAddress, readGrytSettings } from "@lib/features/gryt/settings.ts";

/**
 * Fills in `listen.address` from `AGENT_HOST` and `AGENT_PORT`; what is configured stays.
 *
 * What is wrong with the variables is told where the rest of them is used.
 */
export function withGrytListener(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Config {
  const gryt = config.of(GRYT);
  const mayAsk = env["AGENT_HOST"] !== undefined || env["AGENT_PORT"] !== undefined ||
    gryt.envFile !== undefined;
  if (config.of(LISTEN).address !== undefined || !mayAsk) return config;
  const address = grytListenAddress(readGrytSettings({ config: gryt, env }));
  return address === undefined ? config : config.withDefault(LISTEN.keys.address, address);
}
