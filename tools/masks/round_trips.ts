/**
 * Tries the masks of secrets against the programs that write them.
 *
 * @module
 */
import { compilePatterns, Redactor } from "@lib/foundations/secrets/redactor.ts";
import {
  isMaskable,
  SECRET_MIN_BYTES,
  secretForms,
} from "@lib/foundations/secrets/secret_forms.ts";
import { writeAll } from "./encoders.ts";

/** A form that was not masked. */
export interface Miss {
  readonly encoder: string;
  readonly secret: string;
  readonly form: string;
  /** The form as the log shows it. */
  readonly shown: string;
}

/** The result of {@linkcode tryMasks}. */
export interface RoundTrips {
  readonly count: number;
  readonly encoders: number;
  /** Programs that are not installed. */
  readonly missing: readonly string[];
  readonly misses: readonly Miss[];
}

/** Masks secrets in all forms that the programs here write. */
export async function tryMasks(secrets: number, seed: number): Promise<RoundTrips> {
  const random = generator(seed);
  const texts = Array.from({ length: secrets }, () => makeSecret(random));
  const { written, missing } = await writeAll(texts);
  const misses: Miss[] = [];
  for (const [at, secret] of texts.entries()) {
    const patterns = compilePatterns(secretForms(new Map([["S", secret]])));
    for (const { encoder, forms } of written) {
      const form = forms[at] ?? "";
      const redactor = new Redactor(patterns);
      const bytes = new TextEncoder().encode(form);
      const masked = [...redactor.push(bytes), ...redactor.flush()];
      // Too short to be masked: white space was collapsed.
      if (form !== "" && bytes.length < SECRET_MIN_BYTES) continue;
      if (form !== "" && masked.every((byte) => byte === 42)) continue;
      const shown = new TextDecoder().decode(new Uint8Array(masked));
      misses.push({ encoder, secret, form, shown });
    }
  }
  return { count: texts.length * written.length, encoders: written.length, missing, misses };
}

/** Characters of one kind of secret. */
const ALPHABETS = [
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
  "abcXYZ089-_.+/=",
  " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~aZ9",
  "ab \t\n'\"\\&<",
  "aé ü€ß😀ñ'\"&+",
  "a\x01\x1b\x7f\r\n\t\\'",
];

function makeSecret(random: () => number): string {
  for (;;) {
    const alphabet = [...ALPHABETS[Math.floor(random() * ALPHABETS.length)] ?? ""];
    const length = 4 + Math.floor(random() ** 2 * 40);
    const text = Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]);
    const secret = text.join("").trim();
    if (isMaskable(secret)) return secret;
  }
}

/** Returns numbers from 0 to 1 that depend on the seed alone. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
