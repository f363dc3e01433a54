import type { Product } from "./product.ts";

/** The things that a benchmark inside the machine is given. */
export interface Bench {
  readonly product: Product;
  /** Few samples. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}
