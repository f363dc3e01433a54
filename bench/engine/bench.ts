import type { EngineStage } from "./stage.ts";

/** The things that a benchmark with a container engine is given. */
export interface EngineBench {
  readonly stage: EngineStage;
  /** An image with a shell. */
  readonly image: string;
  /** Few samples. */
  readonly quick: boolean;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}
