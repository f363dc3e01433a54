/**
 * Test counts from the reports of `deno test --junit-path`.
 *
 * @module
 */

/** Numbers of tests by result. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The failed tests and steps, as `FILE: NAME`. */
  readonly failures: readonly string[];
}

/** The counts of a run without tests. */
export const NO_TESTS: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] };

/** Adds the counts of two suites. */
export function addCounts(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
  };
}

/** Formats counts as the last line of a run. */
export function summaryLine({ passed, failed, skipped }: Omit<Counts, "failures">): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/**
 * Counts the tests of a JUnit report. A step belongs to its test and is not counted.
 *
 * @param xml The report; an empty string has no tests.
 */
export function readJunit(xml: string): Counts {
  let counts = NO_TESTS;
  const seen = new Set<string>();
  const pattern = /<testcase name="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs;
  for (const [, name = "", file = "", body = ""] of xml.matchAll(pattern)) {
    // A step is named after its test, which comes first.
    const isStep = prefixes(name).some((test) => seen.has(`${file}\n${test}`));
    seen.add(`${file}\n${name}`);
    const failed = /<(failure|error)\b/.test(body) ? 1 : 0;
    const skipped = failed === 0 && /<skipped\b/.test(body) ? 1 : 0;
    const failures = failed === 0 ? [] : [`${file}: ${unescaped(name)}`];
    counts = addCounts(
      counts,
      isStep
        ? { ...NO_TESTS, failures }
        : { passed: 1 - failed - skipped, failed, skipped, failures },
    );
  }
  return counts;
}

function prefixes(name: string): string[] {
  const parts = name.split(" &gt; ");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(" &gt; "));
}

function unescaped(text: string): string {
  const characters: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(lt|gt|quot|apos);/g, (_, name: string) => characters[name] ?? "")
    .replaceAll("&amp;", "&");
}
