/**
 * Prices of tokens, from a table.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { Tokens } from "@lib/features/llm_proxy/token_count.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";

/** A row of the table; in US dollars for a million tokens. */
export interface Price {
  readonly provider: string;
  /** A model, the first parts of the names of several, or `*` for all of the provider. */
  readonly model: string;
  readonly inputPerMillion: number;
  readonly outputPerMillion: number;
  /** Absent: as input. */
  readonly cacheReadPerMillion?: number;
  /** Absent: as input. */
  readonly cacheWritePerMillion?: number;
}

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_ROWS = 20_000;

/** Finds the price of a model: an exact row, else the longest beginning, else `*`. */
export class PriceTable {
  readonly #byProvider: ReadonlyMap<string, readonly Price[]>;

  /** @param prices Of two rows for the same model, the first counts. */
  constructor(prices: readonly Price[]) {
    this.#byProvider = Map.groupBy(prices, ({ provider }) => provider.toLowerCase());
  }

  /** Returns the row of a model; `undefined`: no price is known. */
  find(provider: string, model: string): Price | undefined {
    const rows = this.#byProvider.get(provider.toLowerCase()) ?? [];
    const name = model.toLowerCase();
    let best: Price | undefined;
    for (const row of rows) {
      const start = row.model.toLowerCase();
      if (start === name) return row;
      const isCloser = start !== "*" && isBeginning(start, name) &&
        start.length > (best?.model.length ?? 0);
      if (isCloser) best = row;
    }
    return best ?? rows.find((row) => row.model === "*");
  }
}

/** Compares by whole parts: `gpt-5` is no beginning of `gpt-5.7`, which has its own price. */
function isBeginning(start: string, name: string): boolean {
  return name.startsWith(start) &&
    (/[^a-z0-9.]$/.test(start) || /^[^a-z0-9.]/.test(name.slice(start.length)));
}

/** Returns the cost of tokens in US dollars. */
export function costOf(price: Price, { input, output, cacheRead, cacheWrite }: Tokens): number {
  const { inputPerMillion, outputPerMillion } = price;
  const { cacheReadPerMillion = inputPerMillion, cacheWritePerMillion = inputPerMillion } = price;
  return (input * inputPerMillion + output * outputPerMillion + cacheRead * cacheReadPerMillion +
    cacheWrite * cacheWritePerMillion) / 1_000_000;
}

/**
 * Reads a table: a JSON list of rows, or an object that has it as `prices`.
 *
 * @throws {CicdError} `invalid_config` with the row at fault; `io_failed`.
 */
export function readPrices(path: string): readonly Price[] {
  const invalid = (problem: string, cause?: unknown) =>
    new CicdError("invalid_config", `Cannot read prices from "${path}": ${problem}`, { cause });
  const bytes = readSmallFile(path, { what: "prices", maxBytes: MAX_BYTES, mustBePrivate: false });
  if (bytes === undefined) throw invalid("there is no such file");
  let table: unknown;
  try {
    table = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid(messageOf(error), error);
  }
  const list = typeof table === "object" && table !== null && "prices" in table
    ? table.prices
    : table;
  if (!Array.isArray(list)) throw invalid('it is no list of rows, and has no list "prices"');
  if (list.length > MAX_ROWS) throw invalid(`it has more than ${MAX_ROWS} rows`);
  return list.map((row: unknown, index) => {
    const price = parsePrice(row);
    if (typeof price === "string") throw invalid(`row ${index + 1} ${price}`);
    return price;
  });
}

/** Returns the row, or its problem. */
function parsePrice(value: unknown): Price | string {
  if (typeof value !== "object" || value === null) return "is no object";
  const row = new Map<string, unknown>(Object.entries(value));
  const [provider, model] = [row.get("provider"), row.get("model")];
  if (typeof provider !== "string" || provider === "") return 'has no text "provider"';
  if (typeof model !== "string" || model === "") return 'has no text "model"';
  const amounts = new Map<string, number>();
  for (const name of AMOUNTS) {
    const amount = row.get(name);
    if (amount === undefined) continue;
    if (typeof amount !== "number" || !(amount >= 0)) return `has a "${name}" that is no price`;
    amounts.set(name, amount);
  }
  const [inputPerMillion, outputPerMillion, cacheRead, cacheWrite] = AMOUNTS.map((name) =>
    amounts.get(name)
  );
  if (inputPerMillion === undefined) return 'has no number "inputPerMillion"';
  if (outputPerMillion === undefined) return 'has no number "outputPerMillion"';
  return priceOf(provider, model, [inputPerMillion, outputPerMillion, cacheRead, cacheWrite]);
}

/** Per million tokens: input, output, and of a cache, reads and writes. */
type Amounts = readonly [
  input: number,
  output: number,
  cacheRead?: number | undefined,
  cacheWrite?: number | undefined,
];

/** Makes the price of a model. */
export function priceOf(
  provider: string,
  model: string,
  [inputPerMillion, outputPerMillion, cacheRead, cacheWrite]: Amounts,
): Price {
  return {
    provider,
    model,
    inputPerMillion,
    outputPerMillion,
    ...(cacheRead === undefined ? {} : { cacheReadPerMillion: cacheRead }),
    ...(cacheWrite === undefined ? {} : { cacheWritePerMillion: cacheWrite }),
  };
}

const AMOUNTS = [
  "inputPerMillion",
  "outputPerMillion",
  "cacheReadPerMillion",
  "cacheWritePerMillion",
] as const;
