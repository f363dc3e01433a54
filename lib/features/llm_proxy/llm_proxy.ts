/**
 * The proxy at work: its server, its prices, its metrics, and the record of what is used.
 *
 * Neither a key nor a part of a request or answer, other than the model's name and counts, is kept or
 * logged.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { ValuesOf } from "@lib/foundations/config/key.ts";
import { parseListenAddress } from "@lib/foundations/http/listen_address.ts";
import type { Metric } from "@lib/foundations/metrics/metric.ts";
import type { Tapped } from "@lib/features/llm_proxy/answer_tap.ts";
import { defaultPrices } from "@lib/features/llm_proxy/default_prices.ts";
import type { Exchanged } from "@lib/features/llm_proxy/exchange.ts";
import type { LLM_PROXY } from "@lib/features/llm_proxy/keys.ts";
import { costOf, PriceTable, readPrices } from "@lib/features/llm_proxy/prices.ts";
import type { Target } from "@lib/features/llm_proxy/targets.ts";
import { ProxyMetrics } from "@lib/features/llm_proxy/proxy_metrics.ts";
import { ProxyServer } from "@lib/features/llm_proxy/proxy_server.ts";
import type { ProxyState } from "@lib/features/llm_proxy/routes.ts";
import { isNothing } from "@lib/features/llm_proxy/token_count.ts";
import type { UsageStore } from "@lib/features/llm_proxy/usage_store.ts";

/** Options for {@linkcode LlmProxy}. */
export interface LlmProxyOptions {
  /** Where to listen, as configured. */
  readonly address: string;
  readonly settings: () => ValuesOf<typeof LLM_PROXY.keys>;
  readonly store: Pick<UsageStore, "add">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborts when the runner accepts no requests any more. */
  readonly stopping: AbortSignal;
}

/** Until it listens, also the time between two tries. */
const RETRY_MS = 30_000;
const CONNECT_MS = 10_000;
const LINGER_MS = 1_000;
/** The most models of which an unknown price is remembered as said. */
const MAX_SAID = 1_000;

/** The proxy. */
export class LlmProxy implements Disposable {
  readonly #options: LlmProxyOptions;
  readonly #metrics = new ProxyMetrics();
  readonly #said = new Set<string>();
  /** Providers whose last request failed. */
  readonly #failing = new Set<string>();
  #prices: PriceTable;
  #server: ProxyServer | undefined;
  #isWanted = true;
  /** Why it does not listen. */
  #problem: string | undefined;

  constructor(options: LlmProxyOptions) {
    this.#options = options;
    this.#prices = this.#readPrices();
  }

  /** True while it listens, or tries to. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  /** How it is. */
  get state(): Pick<ProxyState, "state" | "problem"> {
    if (this.#problem !== undefined) return { state: "down", problem: this.#problem };
    return { state: this.#server === undefined ? "starting" : "listening", problem: null };
  }

  /** Listens until the runner stops; a port that is taken is tried again. */
  async serve(signal: AbortSignal): Promise<void> {
    const { clock, log, stopping } = this.#options;
    const over = AbortSignal.any([signal, stopping]);
    while (!over.aborted) {
      try {
        this.#server = await this.#listen();
        this.#problem = undefined;
        break;
      } catch (error) {
        if (!(error instanceof CicdError)) throw error;
        if (error.message !== this.#problem) {
          log.warning("The proxy for language models is down", { error });
        }
        this.#problem = error.message;
        if (error.code === "invalid_config") {
          this.#isWanted = false;
          return;
        }
        await clock.sleep(RETRY_MS, { signal: over }).catch(ignore("the loop ends when it aborts"));
      }
    }
    const server = this.#server;
    if (server === undefined) return;
    const stop = () => server.stopAccepting();
    over.addEventListener("abort", stop, { once: true });
    if (over.aborted) stop();
    log.info("The proxy for language models listens", { port: server.port });
  }

  /** Reads the prices again; unusable ones leave those before in use. */
  reconfigured(): void {
    this.#prices = this.#readPrices(this.#prices);
    this.#said.clear();
  }

  /** Resolves when no request is under way, or rejects with the signal's reason. */
  async drained(signal: AbortSignal): Promise<void> {
    await this.#server?.drained(signal);
  }

  metrics(): readonly Metric[] {
    return this.#metrics.read(this.#server?.active ?? 0);
  }

  [Symbol.dispose](): void {
    this.#server?.[Symbol.dispose]();
  }

  #readPrices(before = new PriceTable(defaultPrices())): PriceTable {
    const { prices } = this.#options.settings();
    if (prices === undefined) return new PriceTable(defaultPrices());
    try {
      return new PriceTable([...readPrices(prices), ...defaultPrices()]);
    } catch (error) {
      if (!(error instanceof CicdError)) throw error;
      this.#options.log.warning("The prices of language models cannot be used", { error });
      return before;
    }
  }

  #listen(): Promise<ProxyServer> {
    const { address, settings, log } = this.#options;
    return ProxyServer.listen(parseListenAddress(address), {
      limits: () => {
        const { idleMs, maxRequests } = settings();
        return {
          connectMs: Math.min(CONNECT_MS, idleMs),
          idleMs,
          lingerMs: LINGER_MS,
          maxRequests,
        };
      },
      bases: () => settings().providers,
      onExchange: (target, outcome) => this.#note(target, outcome),
      onRefused: (kind) => this.#metrics.refused(kind),
      onError: (what, error) => log.error(what, { error }),
    });
  }

  #note(target: Target, outcome: Exchanged): void {
    const { provider } = target;
    this.#metrics.exchanged(provider, outcome);
    this.#tell(provider, outcome);
    if (outcome.kind !== "failed" && outcome.tapped !== undefined) {
      const { tapped } = outcome;
      // Of an answer that breaks off, the tokens may have been to come.
      if (tapped.uncounted === "no_usage" && outcome.kind === "answered") {
        this.#sayNoUsage(provider);
      }
      this.#record(target, tapped);
    }
  }

  /** Says when a provider begins to fail, and when it answers again; not each time. */
  #tell(provider: string, outcome: Exchanged): void {
    const { log } = this.#options;
    const { kind } = outcome;
    if (kind === "answered") {
      if (this.#failing.delete(provider)) log.info("A language model answers again", { provider });
      return;
    }
    if (kind === "left" || (kind === "failed" && outcome.reason === "left")) return;
    if (this.#failing.has(provider)) return;
    this.#failing.add(provider);
    const reason = outcome.kind === "failed" ? outcome.reason : "its answer was cut off";
    log.warning("A language model does not answer", { provider, reason, detail: outcome.why });
  }

  #record(target: Target, { count, uncounted }: Tapped): void {
    const { store, clock, log } = this.#options;
    const { provider, project, operation } = target;
    if (uncounted !== undefined) this.#metrics.uncounted(provider, uncounted);
    if (isNothing(count)) return;
    const price = this.#prices.find(provider, count.model);
    if (price === undefined) this.#sayUnpriced(provider, count.model);
    const costUsd = price === undefined ? undefined : costOf(price, count);
    this.#metrics.used(provider, count, costUsd ?? 0);
    try {
      store.add({
        ts: Math.round(clock.now()),
        provider,
        model: count.model,
        operation,
        inputTokens: count.input,
        outputTokens: count.output,
        cacheReadTokens: count.cacheRead,
        cacheWriteTokens: count.cacheWrite,
        costUsd,
        ...(project === undefined ? {} : { project }),
      });
    } catch (error) {
      if (!(error instanceof CicdError)) throw error;
      log.warning("The usage of a language model could not be stored", { provider, error });
    }
  }

  #sayNoUsage(provider: string): void {
    if (this.#said.has(provider)) return;
    this.#said.add(provider);
    this.#options.log.warning("A language model streams answers without their tokens", {
      provider,
      hint: "clients of OpenAI's API ask for them by stream_options.include_usage",
    });
  }

  #sayUnpriced(provider: string, model: string): void {
    const name = `${provider} ${model}`;
    if (this.#said.has(name) || this.#said.size >= MAX_SAID) return;
    this.#said.add(name);
    this.#options.log.warning("No price is known of a language model: its tokens are counted", {
      provider,
      model,
    });
  }
}
