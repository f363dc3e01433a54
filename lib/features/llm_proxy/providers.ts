/**
 * The providers of language models, as in paths and in the configuration.
 *
 * @module
 */

/** Their own base addresses; `undefined`: one must be configured. */
export const PROVIDERS = {
  anthropic: "https://api.anthropic.com",
  openai: "https://api.openai.com",
  google: "https://generativelanguage.googleapis.com",
  groq: "https://api.groq.com",
  mistral: "https://api.mistral.ai",
  xai: "https://api.x.ai",
  cohere: "https://api.cohere.com",
  together: "https://api.together.xyz",
  ollama: undefined,
  azure: undefined,
} as const;

/** The name of a provider. */
export type ProviderName = keyof typeof PROVIDERS;
