import type { Product } from "./product.ts";

/** The input of a benchmark inside the machine. */
export interface Bench {
  readonly product: Product;
  /** Takes few samples. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}
