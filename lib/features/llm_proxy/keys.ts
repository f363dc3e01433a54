/**
 * Configuration keys of the proxy for language models.
 *
 * @module
 */
import { duration, integer, path, TIMER_MAX_MS } from "@lib/core/value_types.ts";
import { type ProviderName, PROVIDERS } from "@lib/features/llm_proxy/providers.ts";
import { type Config, section } from "@lib/foundations/config/config.ts";
import { group, type Key, key, optionalKey } from "@lib/foundations/config/key.ts";
import { age, listenAddress, SECOND, webAddress } from "@lib/foundations/config/ranges.ts";

/** Keys of the proxy for language models. */
export const LLM_PROXY = section({
  keys: {
    listen: optionalKey(
      "llm_proxy.listen",
      listenAddress(
        "a port, or a loopback address and a port such as 127.0.0.1:9090",
        /^((127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):)?\d{1,5}$/,
      ),
      "Loopback address of the proxy for language models.",
      {
        text:
          "none: off; with `$SINDRI_CONSOLE_URL`, port `$SINDRI_LLM_PROXY_PORT` or 9090 unless " +
          "`$SINDRI_LLM_ADAPTER` is `none`",
        restart: "changed",
      },
    ),
    providers: group({
      anthropic: provider("anthropic"),
      openai: provider("openai"),
      google: provider("google"),
      groq: provider("groq"),
      mistral: provider("mistral"),
      xai: provider("xai"),
      cohere: provider("cohere"),
      together: provider("together"),
      ollama: provider("ollama"),
      azure: provider("azure"),
    }),
    prices: optionalKey(
      "llm_proxy.prices",
      path("absolute"),
      "JSON file with prices of models; they come before those that the runner knows.",
    ),
    maxRequests: key(
      "llm_proxy.max_requests",
      integer({ min: 1, max: 4_096 }),
      "Requests to language models under way at once; others are refused with 503.",
      64,
    ),
    idleMs: key(
      "llm_proxy.idle_timeout",
      duration({ min: SECOND, max: TIMER_MAX_MS }),
      "Time without a byte in either direction after which a request is ended.",
      "10m",
    ),
    keepMs: key("llm_proxy.keep", duration(age), "How long the usage of a day is kept.", "400d"),
  },
});

/** Makes the key of a provider's base address. */
function provider(name: ProviderName): Key<string | undefined> {
  const base = PROVIDERS[name];
  return {
    ...optionalKey(
      `llm_proxy.providers.${name}`,
      webAddress(),
      `Base address of ${name}, such as of a gateway before it.`,
    ),
    fallback: base,
  };
}

/** The port of the proxy that the variables of the guide ask for. */
const DEFAULT_PORT = 9_090;

/** Where to listen, or why the variables that ask for it are wrong. */
export interface Listening {
  /** Absent: the proxy is off. */
  readonly address?: string;
  readonly problem?: string;
}

/** Returns where the proxy listens: by the configuration, else by the variables of the console. */
export function listeningOf(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Listening {
  const { listen } = config.of(LLM_PROXY);
  if (listen !== undefined) return { address: listen };
  const port = env["SINDRI_LLM_PROXY_PORT"] || undefined;
  const adapter = env["SINDRI_LLM_ADAPTER"] || undefined;
  const isAsked = Boolean(env["SINDRI_CONSOLE_URL"]) || port !== undefined ||
    adapter === "auto" || adapter === "proxy";
  if (!isAsked || adapter === "none") return {};
  if (adapter === "ebpf") {
    return { problem: "SINDRI_LLM_ADAPTER=ebpf is not supported; use proxy or none" };
  }
  const number = port === undefined ? DEFAULT_PORT : /^\d{1,5}$/.test(port) ? Number(port) : 0;
  return number >= 1 && number <= 65_535
    ? { address: String(number) }
    : { problem: `SINDRI_LLM_PROXY_PORT must be a valid port number, got ${JSON.stringify(port)}` };
}
