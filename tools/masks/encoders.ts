/**
 * Programs that write a text in forms of their own, for trying the masks against them.
 *
 * Each gets all texts at once, as a JSON array on standard input or, for bash, each followed by a
 * NUL; it writes the forms in the same order.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";

/** The forms of all texts by one encoder. */
export interface Written {
  /** The encoder: `python3 html.escape`. */
  readonly encoder: string;
  /** One for each text, without the quotes around it. */
  readonly forms: readonly string[];
}

interface Program {
  readonly argv: readonly string[];
  /** The file that `argv` names as FILE. */
  readonly source?: { readonly name: string; readonly text: string };
  /** The encoders, in the order of the forms of each text. */
  readonly encoders: readonly string[];
  readonly input: "json" | "nul";
  readonly env?: Readonly<Record<string, string>>;
}

const PYTHON = `
import base64, html, json, shlex, sys
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr
def forms(t):
    b = t.encode()
    return [json.dumps(t)[1:-1], json.dumps(t, ensure_ascii=False)[1:-1], html.escape(t),
        t.encode("ascii", "xmlcharrefreplace").decode(),
        html.escape(t).encode("ascii", "xmlcharrefreplace").decode(), quote(t), quote(t, safe=""),
        quote_plus(t), shlex.quote(t)[1:-1] if shlex.quote(t) != t else t, repr(t)[1:-1],
        repr(b)[2:-1], escape(t), quoteattr(t)[1:-1], base64.b64encode(b).decode(),
        base64.urlsafe_b64encode(b).decode(), b.hex()]
json.dump([forms(t) for t in json.load(sys.stdin)], sys.stdout)
`;

const NODE = `
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const url = new URL("http://host/");
const forms = (t) => [JSON.stringify(t).slice(1, -1), encodeURI(t), encodeURIComponent(t),
  new URLSearchParams([["", t]]).toString().slice(1), (url.username = t, url.username),
  (url.password = t, url.password), Buffer.from(t).toString("base64"),
  Buffer.from(t).toString("base64url"), Buffer.from(t).toString("hex")];
process.stdout.write(JSON.stringify(texts.map(forms)));
`;

const GO = `package main
import ("bytes"; "encoding/base64"; "encoding/json"; "encoding/xml"; "html"; "net/url"; "os"
 "strconv"; "strings")
func inner(s string) string { return s[1:len(s)-1] }
func main() {
  var texts []string
  if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil { panic(err) }
  out := [][]string{}
  for _, t := range texts {
    plain, _ := json.Marshal(t)
    var raw, x bytes.Buffer
    e := json.NewEncoder(&raw); e.SetEscapeHTML(false); e.Encode(t)
    xml.EscapeText(&x, []byte(t))
    out = append(out, []string{inner(string(plain)), inner(strings.TrimSpace(raw.String())),
      html.EscapeString(t), x.String(), url.QueryEscape(t), url.PathEscape(t),
      strings.TrimPrefix(url.UserPassword("", t).String(), ":"), inner(strconv.Quote(t)),
      inner(strconv.QuoteToASCII(t)), base64.StdEncoding.EncodeToString([]byte(t))})
  }
  json.NewEncoder(os.Stdout).Encode(out)
}
`;

const BASH = String.raw`
inner() { case $1 in "\$'"*) r=\${1:2:\${#1}-3};; "'"*) r=\${1:1:\${#1}-2};; *) r=$1;; esac; }
set -f
while IFS= read -r -d "" v; do
  printf -v q %q "$v"; inner "$q"; printf '%s\0' "$r"
  inner "\${v@Q}"; printf '%s\0' "$r"
  words=($v); printf '%s\0' "\${words[*]}"
  x=$({ PS4=; set -x; : "$v"; } 2>&1); inner "\${x:2}"; printf '%s\0' "$r"
done
`.replaceAll("\\${", "${");

const bash = { encoders: ["%q", "${v@Q}", "an unquoted word", "-x"], input: "nul" } as const;

const PROGRAMS: Readonly<Record<string, Program>> = {
  python3: {
    argv: ["python3", "-c", PYTHON],
    encoders: [
      ...["json", "json without ensure_ascii", "html.escape", "xmlcharrefreplace"],
      ...["html.escape and xmlcharrefreplace", "quote", "quote with safe=''", "quote_plus"],
      ...["shlex.quote", "repr", "repr of bytes", "saxutils.escape", "quoteattr", "base64"],
      ...["urlsafe base64", "hex"],
    ],
    input: "json",
  },
  node: {
    argv: ["node", "-e", NODE],
    encoders: [
      ...["JSON.stringify", "encodeURI", "encodeURIComponent", "URLSearchParams", "URL.username"],
      ...["URL.password", "base64", "base64url", "hex"],
    ],
    input: "json",
  },
  go: {
    argv: ["go", "run", "FILE"],
    source: { name: "main.go", text: GO },
    encoders: [
      ...["encoding/json", "encoding/json without HTML", "html.EscapeString", "encoding/xml"],
      ...["QueryEscape", "PathEscape", "UserPassword", "%q", "%+q", "base64"],
    ],
    input: "json",
  },
  jq: {
    argv: [
      ...["jq", "-c"],
      "map([(tojson | .[1:-1]), @html, @uri, (@sh | .[1:-1]), ([.] | @csv | .[1:-1]), @base64])",
    ],
    encoders: ["tojson", "@html", "@uri", "@sh", "@csv", "@base64"],
    input: "json",
  },
  bash: { argv: ["bash", "-c", BASH], env: { LC_ALL: "C.UTF-8" }, ...bash },
  "bash (LC_ALL=C)": { argv: ["bash", "-c", BASH], env: { LC_ALL: "C" }, ...bash },
};

/** Returns the forms of the texts by each program, and the programs that are missing here. */
export async function writeAll(
  texts: readonly string[],
): Promise<{ readonly written: readonly Written[]; readonly missing: readonly string[] }> {
  const written: Written[] = [];
  const missing: string[] = [];
  for (const [name, program] of Object.entries(PROGRAMS)) {
    try {
      const rows = await run(program, texts);
      program.encoders.forEach((encoder, at) =>
        written.push({ encoder: `${name} ${encoder}`, forms: rows.map((row) => row[at] ?? "") })
      );
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      missing.push(name);
    }
  }
  return { written, missing };
}

async function run(program: Program, texts: readonly string[]): Promise<readonly string[][]> {
  const { argv, source, encoders, env = {}, input } = program;
  const directory = await Deno.makeTempDir({ prefix: "masks-" });
  try {
    const file = `${directory}/${source?.name}`;
    if (source !== undefined) await Deno.writeTextFile(file, source.text);
    const [name = "", ...args] = argv.map((word) => word === "FILE" ? file : word);
    const signal = AbortSignal.timeout(300_000);
    const options = {
      args,
      env,
      signal,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    } as const;
    const process = new Deno.Command(name, options).spawn();
    const text = input === "json" ? JSON.stringify(texts) : texts.map((one) => `${one}\0`).join("");
    const feeding = new Blob([text]).stream().pipeTo(process.stdin);
    const [output] = await Promise.all([
      process.output(),
      feeding.catch(ignore("the program's own words follow")),
    ]);
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!output.success) throw new Error(`${name} failed: ${decode(output.stderr).slice(0, 500)}`);
    if (input === "json") return JSON.parse(decode(output.stdout));
    const words = decode(output.stdout).split("\0");
    return texts.map((_, at) => words.slice(at * encoders.length, (at + 1) * encoders.length));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
