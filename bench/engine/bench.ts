import type { EngineStage } from "./stage.ts";

/** The input of a benchmark with a container engine. */
export interface EngineBench {
  readonly stage: EngineStage;
  /** An image with a shell. */
  readonly image: string;
  /** Takes few samples. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}
