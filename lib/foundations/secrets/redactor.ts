/**
 * Masks secrets in a stream of bytes.
 *
 * A secret is masked with `*` of the same length, so offsets in a log never shift: resuming and HTTP
 * ranges stay exact arithmetic, and a read that starts anywhere yields the same bytes as a read from
 * the start. The price is that the length of a secret shows.
 *
 * The search is Aho–Corasick: one pass for any number of patterns, in time linear in the text. The
 * trie uses child lists, since a private key in all its forms would make a dense table of tens of
 * megabytes; a table of the first byte pairs skips text in which no pattern begins.
 *
 * @module
 */

const MASK = "*".charCodeAt(0);
/** Shortest beginning of a secret that is masked where the text was cut off. */
const CUT_MIN_BYTES = 4;

/** Compiled patterns; immutable, shared by any number of redactors. */
export interface SecretPatterns {
  /** Number of distinct, non-empty patterns. */
  readonly count: number;
  /** Bytes before an offset that a redactor must see first to start there. */
  readonly maxLookbehind: number;
  /** Memory that they take. */
  readonly bytes: number;
  /** @internal */
  readonly trie: Trie;
}

/** Node 0 is the root; as a child or sibling 0 means none. */
interface Trie {
  readonly byte: Uint8Array;
  readonly firstChild: Int32Array;
  readonly sibling: Int32Array;
  /** The node of the longest proper suffix that is in the trie. */
  readonly fail: Int32Array;
  /** Length of the longest pattern that ends here, or 0. */
  readonly maskLength: Uint16Array;
  /** Length of the longest suffix that begins a pattern. */
  readonly holdLength: Uint16Array;
  readonly rootChild: Int32Array;
  /** 1 if a pattern begins with the two bytes `first << 8 | second`. */
  readonly pair: Uint8Array;
}

/** Bytes of patterns that are worked on between two steps: a millisecond or two at most. */
const STEP_BYTES = 8 * 1024;
/** Nodes that are visited between two steps while they are linked. */
const STEP_VISITS = 16 * 1024;
/** Longest pattern, in bytes. */
const PATTERN_LIMIT_BYTES = 0xffff;

/** Compiles patterns for searching; ignores empty ones. */
export function compilePatterns(patterns: Iterable<Uint8Array | undefined>): SecretPatterns {
  const steps = compileSteps(patterns);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * Compiles patterns in short steps, so that a caller can do other work between them. Time and memory
 * grow with the bytes of the patterns.
 *
 * @param patterns In place of one, `undefined` ends a step.
 */
export function* compileSteps(
  patterns: Iterable<Uint8Array | undefined>,
): Generator<void, SecretPatterns, void> {
  const list: Uint8Array[] = [];
  let size = 1;
  for (const pattern of patterns) {
    if (pattern === undefined) {
      yield;
      continue;
    }
    if (pattern.length > PATTERN_LIMIT_BYTES) {
      throw new RangeError(`Cannot compile a pattern of ${pattern.length} bytes`);
    }
    list.push(pattern);
    const before = size;
    size += pattern.length;
    if (isStep(before, size)) yield;
  }
  const trie: Trie = {
    byte: new Uint8Array(size),
    firstChild: new Int32Array(size),
    sibling: new Int32Array(size),
    fail: new Int32Array(size),
    maskLength: new Uint16Array(size),
    holdLength: new Uint16Array(size),
    rootChild: new Int32Array(256),
    pair: new Uint8Array(size === 1 ? 0 : 65_536),
  };
  let nodes = 1;
  let count = 0;
  let longest = 0;
  let done = 0;
  for (const pattern of list) {
    if (pattern.length === 0) continue;
    let node = 0;
    for (const byte of pattern) {
      let child = findChild(trie, node, byte);
      if (child === 0) {
        child = nodes++;
        trie.byte[child] = byte;
        trie.sibling[child] = trie.firstChild[node] ?? 0;
        trie.firstChild[node] = child;
        if (node === 0) trie.rootChild[byte] = child;
      }
      node = child;
    }
    if (trie.maskLength[node] === 0) count++;
    trie.maskLength[node] = pattern.length;
    longest = Math.max(longest, pattern.length);
    const first = (pattern[0] ?? 0) << 8;
    if (pattern.length === 1) trie.pair.fill(1, first, first + 256);
    else trie.pair[first | (pattern[1] ?? 0)] = 1;
    const before = done;
    done += pattern.length;
    if (isStep(before, done)) yield;
  }
  yield* link(trie, nodes);
  const bytes = Object.values(trie).reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { count, maxLookbehind: Math.max(0, longest - 1), bytes, trie };
}

/** Returns true if another {@linkcode STEP_BYTES} were worked on. */
function isStep(before: number, after: number): boolean {
  return Math.floor(before / STEP_BYTES) < Math.floor(after / STEP_BYTES);
}

/** Sets the fail links and what depends on them, in order of depth. */
function* link(trie: Trie, nodes: number): Generator<void, void, void> {
  const queue = new Int32Array(nodes);
  const depth = new Uint16Array(nodes);
  let end = 1;
  let visits = 0;
  for (let at = 0; at < end; at++) {
    const parent = queue[at] ?? 0;
    let child = trie.firstChild[parent] ?? 0;
    for (; child !== 0; child = trie.sibling[child] ?? 0) {
      queue[end++] = child;
      depth[child] = (depth[parent] ?? 0) + 1;
      const byte = trie.byte[child] ?? 0;
      let fail = 0;
      // As in `step()`, but counts: where many patterns begin alike, the lists of children are long.
      for (
        let node = trie.fail[parent] ?? 0;
        node !== 0 && fail === 0;
        node = trie.fail[node] ?? 0
      ) {
        fail = trie.firstChild[node] ?? 0;
        for (; fail !== 0 && trie.byte[fail] !== byte; fail = trie.sibling[fail] ?? 0) visits++;
        visits++;
      }
      if (fail === 0 && parent !== 0) fail = trie.rootChild[byte] ?? 0;
      trie.fail[child] = fail;
      trie.maskLength[child] ||= trie.maskLength[fail] ?? 0;
      const goesOn = (trie.firstChild[child] ?? 0) !== 0;
      trie.holdLength[child] = (goesOn ? depth[child] : trie.holdLength[fail]) ?? 0;
      if (++visits < STEP_VISITS) continue;
      visits = 0;
      yield;
    }
  }
}

function findChild(trie: Trie, node: number, byte: number): number {
  let child = trie.firstChild[node] ?? 0;
  while (child !== 0 && trie.byte[child] !== byte) child = trie.sibling[child] ?? 0;
  return child;
}

function step(trie: Trie, from: number, byte: number): number {
  for (let node = from; node !== 0; node = trie.fail[node] ?? 0) {
    const child = findChild(trie, node, byte);
    if (child !== 0) return child;
  }
  return trie.rootChild[byte] ?? 0;
}

/**
 * Masks one stream, chunk by chunk.
 *
 * Output and input have the same length and offsets. To start in the middle of a text, push the
 * `maxLookbehind` bytes before it first and drop as many from the output.
 */
export class Redactor {
  readonly #trie: Trie;
  readonly #idle: boolean;
  #node = 0;
  /** Tail of the output that may yet turn out to begin a secret. */
  #held = new Uint8Array(0);

  constructor(patterns: SecretPatterns) {
    this.#trie = patterns.trie;
    this.#idle = patterns.count === 0;
  }

  /**
   * Takes the next bytes and returns those that are settled.
   *
   * It holds back only a tail that begins a pattern, at most `maxLookbehind` bytes, and neither
   * changes nor keeps `chunk`.
   */
  push(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#idle) return chunk.slice();
    const base = this.#held.length;
    const out = new Uint8Array(base + chunk.length);
    out.set(this.#held);
    out.set(chunk, base);
    this.#scan(chunk, out, base);
    const settled = out.length - (this.#trie.holdLength[this.#node] ?? 0);
    this.#held = out.slice(settled);
    return out.subarray(0, settled);
  }

  /**
   * Returns the held tail at the end of the text, and resets the redactor.
   *
   * @param end `cut` if the text was cut off here: then a tail that may begin a secret is masked too.
   */
  flush(end: "complete" | "cut" = "complete"): Uint8Array<ArrayBuffer> {
    const held = this.#held;
    if (end === "cut" && held.length >= CUT_MIN_BYTES) held.fill(MASK);
    this.#held = new Uint8Array(0);
    this.#node = 0;
    return held;
  }

  #scan(chunk: Uint8Array, out: Uint8Array, base: number): void {
    const trie = this.#trie;
    const { pair, maskLength } = trie;
    const last = chunk.length - 1;
    let node = this.#node;
    // What the last match masked: a log full of overlapping matches stays linear.
    let maskedFrom = Infinity;
    let maskedTo = 0;
    for (let at = 0; at <= last; at++) {
      let byte = chunk[at] ?? 0;
      if (node === 0) {
        while (at < last) {
          const next = chunk[at + 1] ?? 0;
          if (pair[byte << 8 | next] === 1) break;
          byte = next;
          at++;
        }
      }
      node = step(trie, node, byte);
      const length = maskLength[node] ?? 0;
      if (length === 0) continue;
      const end = base + at + 1;
      const start = end - length;
      out.fill(MASK, start >= maskedFrom ? Math.max(start, maskedTo) : start, end);
      maskedFrom = start;
      maskedTo = end;
    }
    this.#node = node;
  }
}

/**
 * Masks a text of its own.
 *
 * Texts that were cut to length end, or go on, with `…`: the beginning of a secret before it is
 * masked too.
 */
export function maskText(patterns: SecretPatterns, text: string): string {
  if (patterns.count === 0) return text;
  const redactor = new Redactor(patterns);
  const bytes = new TextEncoder().encode(text);
  const masked = new Uint8Array(bytes.length);
  const cuts: { readonly from: number; readonly to: number }[] = [];
  let read = 0;
  let settled = 0;
  const push = (part: string) => {
    const end = read + new TextEncoder().encode(part).length;
    const out = redactor.push(bytes.subarray(read, end));
    masked.set(out, settled);
    settled += out.length;
    read = end;
  };
  const parts = text.split(CUT);
  for (const [at, part] of parts.entries()) {
    push(at === 0 ? part : CUT + part);
    if (at < parts.length - 1 && read - settled >= CUT_MIN_BYTES) {
      cuts.push({ from: settled, to: read });
    }
  }
  masked.set(redactor.flush(), settled);
  for (const { from, to } of cuts) masked.fill(MASK, from, to);
  return new TextDecoder().decode(masked);
}

const CUT = "…";
