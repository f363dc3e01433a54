/**
 * The address that a path of the proxy stands for.
 *
 * @module
 */
import { parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { type ProviderName, PROVIDERS } from "@lib/features/llm_proxy/providers.ts";

/** The beginning of every path, which clients leave out whose own base address ends in it. */
const STARTS: Readonly<Partial<Record<ProviderName, { text: string; isThere: RegExp }>>> = {
  anthropic: { text: "v1/", isThere: /^v\d/ },
  openai: { text: "v1/", isThere: /^v\d/ },
  mistral: { text: "v1/", isThere: /^v\d/ },
  xai: { text: "v1/", isThere: /^v\d/ },
  together: { text: "v1/", isThere: /^v\d/ },
  groq: { text: "openai/v1/", isThere: /^openai\// },
};

const NAMES = Object.keys(PROVIDERS);

/** Where a request goes. */
export interface Target {
  readonly provider: ProviderName;
  readonly project?: ProjectName;
  readonly isSecure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** The value of the `Host` field. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  readonly operation: "chat" | "embeddings";
}

/** The base addresses. */
export type Bases = Readonly<Partial<Record<ProviderName, string | undefined>>>;

/** Why a request goes nowhere. */
export interface NoTarget {
  readonly problem: string;
}

/**
 * Finds the target of `/<any>/PROVIDER/REST`, or of `/<any>/projects/PROJECT/PROVIDER/REST`.
 *
 * The host and the beginning of the path come from the table or the configuration alone.
 */
export function targetOf(url: string, bases: Bases): Target | NoTarget {
  const [, path = "", query = ""] = /^([^?]*)(\?.*)?$/.exec(url) ?? [];
  const [first, , ...named] = path.split("/");
  const isNamed = named[0] === "projects";
  const [given = "", ...rest] = isNamed ? named.slice(2) : named;
  if (first !== "" || given === "") {
    return { problem: "invalid path — expected /v1/{provider}/..." };
  }
  const project = isNamed ? parseProjectName(named[1] ?? "") : undefined;
  if (isNamed && project === undefined) return { problem: "invalid name of a project in the path" };
  const provider = parseProvider(given);
  if (provider === undefined) return { problem: `unknown provider: ${shown(given)}` };
  const base = bases[provider];
  if (base === undefined) {
    return { problem: `no address for ${provider}: set llm_proxy.providers.${provider}` };
  }
  if (!URL.canParse(base)) return { problem: `no usable address for ${provider}` };
  // A server may resolve them, and leave the base address.
  const parts = rest.flatMap((part) => part.split(/%2f|%5c/i));
  if (parts.some((part) => /^(\.|%2e){1,2}$/i.test(part)) || /[\\#]/.test(url)) {
    return { problem: "invalid path — it must not contain . or .. segments" };
  }
  const { protocol, hostname, port, host, pathname } = new URL(base);
  const wanted = rest.join("/");
  const start = STARTS[provider];
  const before = start === undefined || start.isThere.test(wanted) ? "" : start.text;
  const isSecure = protocol === "https:";
  return {
    provider,
    ...(project === undefined ? {} : { project }),
    isSecure,
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (isSecure ? 443 : 80) : Number(port),
    authority: host,
    path: `${pathname.replace(/\/+$/, "")}/${before}${wanted}${query}`,
    operation: /(\/embeddings|\/embed|:(batch)?embedContents?)$/i.test(path)
      ? "embeddings"
      : "chat",
  };
}

function parseProvider(text: string): ProviderName | undefined {
  return NAMES.includes(text) ? text as ProviderName : undefined;
}

function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "_").slice(0, 40);
}
