import { isMap } from 'yaml';

import { aliasTargets, holdsAnchor } from './aliases.ts';
import { compareSections } from './compare.ts';
import type { Finding } from './finding.ts';
import { repairLayout } from './layout.ts';
import { NodeReader, type Entry } from './node-reader.ts';
import { readConfigs, type LocatedConfig } from './read-configs.ts';
import { readMirrors, type LocatedMirror } from './read-mirrors.ts';
import type { HostConfig, Mirror, Registries } from './registries.ts';
import { SourceText } from './source-text.ts';
import { KEYS, nearestWord } from './words.ts';
import { checkBounds, parseYaml, reportSyntax } from './yaml-syntax.ts';

/** The content of a registries.yaml, as far as it can be read, and its problems. */
export interface ParsedRegistries {
  readonly registries: Registries;
  /** In the order of the file. */
  readonly findings: readonly Finding[];
}

/** A check that needs more than the text, such as whether files exist. */
export type ExternalCheck = (
  reader: NodeReader,
  configs: ReadonlyMap<string, LocatedConfig>,
) => void;

interface Sections {
  readonly mirrors: Map<string, LocatedMirror>;
  readonly configs: Map<string, LocatedConfig>;
}

/** Codes of findings that a wrong layout may have caused. */
const LAYOUT_CODES: ReadonlySet<string> = new Set([
  'yaml',
  'wrong-type',
  'invalid-key',
  'invalid-registry',
  'unknown-key',
  'misplaced-key',
  'not-a-map',
]);

/**
 * Parses a registries.yaml. If its layout is wrong, the corrected lines are reported, and the corrected text is parsed, so
 * that one run finds all problems.
 *
 * Never throws: the findings have every problem.
 */
export function parseRegistries(text: string, outer?: ExternalCheck): ParsedRegistries {
  const { sections, sources } = parse(text, outer);
  return result(sections, sources);
}

/** A text with its corrections made, and the findings that they do not concern. */
export interface CorrectedText {
  readonly text: string;
  /** Findings of the text in its repaired layout. */
  readonly remaining: readonly Finding[];
}

/**
 * Makes all corrections of the findings, except those that a person has to choose from. The layout is left as it is where a
 * value has several lines: the repair goes line by line and could change the value, a password for example.
 */
export function correctedText(text: string, outer?: ExternalCheck): CorrectedText {
  const { sources } = parse(text, outer);
  const [first, second] = sources;
  if (first === undefined) return { text, remaining: [] };
  if (second === undefined) return { text: first.corrected(), remaining: first.findings };
  if (hasLongValue(first)) return { text, remaining: sources.flatMap(({ findings }) => findings) };
  return { text: second.corrected(), remaining: second.findings };
}

/** Whether a value may go on in the next line: a block (`|`, `>`), or a quote that its line does not close. */
function hasLongValue({ lines, findings }: SourceText): boolean {
  return (
    findings.some(({ code }) => code === 'open-quote') ||
    lines.some((line) => /(?:^|[:\-]\s)\s*[|>][-+0-9]*\s*(?:#.*)?$/.test(line))
  );
}

/** What was read, and the passes that it took: the findings of all, and the corrections of the last count. */
interface Parsed {
  readonly sections: Sections;
  readonly sources: readonly SourceText[];
}

function parse(text: string, outer: ExternalCheck | undefined): Parsed {
  const body = text.replace(/^\ufeff/, '');
  const first = new SourceText(body);
  const sections = read(first, outer);
  if (!first.findings.some(({ code }) => LAYOUT_CODES.has(code))) {
    return { sections, sources: [first] };
  }
  const layout = new SourceText(body);
  const repaired = repairLayout(layout);
  if (layout.findings.length === 0) return { sections, sources: [first] };
  const second = new SourceText(repaired, body);
  return { sections: read(second, outer), sources: [layout, second] };
}

function result({ mirrors, configs }: Sections, sources: readonly SourceText[]): ParsedRegistries {
  const findings = sources.flatMap((source) => source.findings);
  findings.sort((one, other) => one.line - other.line || one.column - other.column);
  return {
    registries: { mirrors: bare(mirrors, bareMirror), configs: bare(configs, bareConfig) },
    findings,
  };
}

function bare<P, V>(placed: ReadonlyMap<string, P>, of: (value: P) => V): Map<string, V> {
  return new Map([...placed].map(([key, value]) => [key, of(value)]));
}

/** Removes the locations: nodes of the parser refer to the text, which contains secrets. */
function bareMirror({ endpoints, rewrites }: LocatedMirror): Mirror {
  return {
    endpoints: endpoints.map(({ url, host, overridesPath }) => ({ url, host, overridesPath })),
    rewrites,
  };
}

function bareConfig({ auth, tls }: LocatedConfig): HostConfig {
  return { ...(auth !== undefined && { auth }), ...(tls !== undefined && { tls }) };
}

function read(source: SourceText, outer: ExternalCheck | undefined): Sections {
  const none: Sections = { mirrors: new Map(), configs: new Map() };
  try {
    return checkBounds(source) ? readDocument(source, outer) : none;
  } catch (error) {
    // The parser is recursive. A stack overflow must not end the process.
    if (!(error instanceof RangeError)) throw error;
    source.add({ code: 'too-complex', at: 0, message: 'nested too deeply', fatal: true });
    return none;
  }
}

function readDocument(source: SourceText, outer: ExternalCheck | undefined): Sections {
  const sections: Sections = { mirrors: new Map(), configs: new Map() };
  const document = parseYaml(source.text);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    reportSyntax(source, problem);
    return sections;
  }
  const { contents } = document;
  if (contents === null || source.text.trim() === '') {
    source.add({ code: 'empty', at: 0, message: 'the file is empty: it names no registry' });
    return sections;
  }
  const reader = new NodeReader(source, aliasTargets(document, source));
  if (!isMap(contents)) {
    const message = 'the file must be a map with mirrors: and configs:';
    source.add({ code: 'not-a-map', at: reader.at(contents), message, fatal: true });
    return sections;
  }
  for (const entry of reader.entries(contents, true)) {
    if (entry.key === 'mirrors') fill(sections.mirrors, readMirrors(reader, entry));
    else if (entry.key === 'configs') fill(sections.configs, readConfigs(reader, entry));
    else if (!isTemplate(entry)) {
      reader.unknown(entry, 'at the top of the file', KEYS.file, mayBeMirrors(entry));
    }
  }
  compareSections(reader, sections.mirrors, sections.configs);
  outer?.(reader, sections.configs);
  return sections;
}

/** Whether the key is there for its anchors, which aliases refer to: `x-defaults: &defaults`. */
function isTemplate({ key, value }: Entry): boolean {
  const isNamed = nearestWord(key, KEYS.file) !== undefined || /.[.:*]/.test(key);
  return !isNamed && holdsAnchor(value);
}

/** Whether the user may have written registries under this unknown key. Then the file names more registries than it seems. */
function mayBeMirrors({ key }: Entry): boolean {
  return nearestWord(key, KEYS.file) === 'mirrors' || /[.:*]/.test(key);
}

function fill<V>(target: Map<string, V>, from: ReadonlyMap<string, V>): void {
  for (const [key, value] of from) target.set(key, value);
}
