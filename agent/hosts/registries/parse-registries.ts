import { isMap } from 'yaml';

import { compareSections } from './compare.ts';
import type { Finding } from './finding.ts';
import { repairLayout } from './layout.ts';
import { NodeReader, type Entry } from './node-reader.ts';
import { readConfigs, type PlacedConfig } from './read-configs.ts';
import { readMirrors, type PlacedMirror } from './read-mirrors.ts';
import type { HostConfig, Mirror, Registries } from './registries.ts';
import { SourceText } from './source-text.ts';
import { KEYS, nearestWord } from './words.ts';
import { checkBounds, parseYaml, reportSyntax } from './yaml-syntax.ts';

/** What a registries.yaml says, as far as it can be read, and what is wrong with it. */
export interface ParsedRegistries {
  readonly registries: Registries;
  /** In the order of the file. */
  readonly findings: readonly Finding[];
}

/** Looks at what is outside of the text: whether files are there. */
export type OuterCheck = (reader: NodeReader, configs: ReadonlyMap<string, PlacedConfig>) => void;

interface Sections {
  readonly mirrors: Map<string, PlacedMirror>;
  readonly configs: Map<string, PlacedConfig>;
}

/** Findings that a wrong layout may be behind. */
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
 * Reads a registries.yaml. Where lines are not where they belong, they are reported with the right ones, and
 * the rest is read as if these were there, so that one run finds everything.
 *
 * Never throws: whatever the text is, what is wrong is in the findings.
 */
export function parseRegistries(text: string, outer?: OuterCheck): ParsedRegistries {
  const body = text.replace(/^\ufeff/, '');
  const first = new SourceText(body);
  const sections = read(first, outer);
  if (!first.findings.some(({ code }) => LAYOUT_CODES.has(code))) return result(sections, [first]);

  const layout = new SourceText(body);
  const repaired = repairLayout(layout);
  if (layout.findings.length === 0) return result(sections, [first]);
  const second = new SourceText(repaired, body);
  return result(read(second, outer), [layout, second]);
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

/** Without where it stood: nodes of the parser hold the text, with what is secret in it. */
function bareMirror({ endpoints, rewrites }: PlacedMirror): Mirror {
  return {
    endpoints: endpoints.map(({ url, host, overridesPath }) => ({ url, host, overridesPath })),
    rewrites,
  };
}

function bareConfig({ auth, tls }: PlacedConfig): HostConfig {
  return { ...(auth !== undefined && { auth }), ...(tls !== undefined && { tls }) };
}

function read(source: SourceText, outer: OuterCheck | undefined): Sections {
  const none: Sections = { mirrors: new Map(), configs: new Map() };
  try {
    return checkBounds(source) ? readDocument(source, outer) : none;
  } catch (error) {
    // The parser is recursive: what gets past the bounds must not take the process down.
    if (!(error instanceof RangeError)) throw error;
    source.add({ code: 'too-complex', at: 0, message: 'nested too deeply', fatal: true });
    return none;
  }
}

function readDocument(source: SourceText, outer: OuterCheck | undefined): Sections {
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
  const reader = new NodeReader(source);
  if (!isMap(contents)) {
    const message = 'the file must be a map with mirrors: and configs:';
    source.add({ code: 'not-a-map', at: reader.at(contents), message, fatal: true });
    return sections;
  }
  for (const entry of reader.entries(contents, true)) {
    if (entry.key === 'mirrors') fill(sections.mirrors, readMirrors(reader, entry));
    else if (entry.key === 'configs') fill(sections.configs, readConfigs(reader, entry));
    else reader.unknown(entry, 'at the top of the file', KEYS.file, mayBeMirrors(entry));
  }
  compareSections(reader, sections.mirrors, sections.configs);
  outer?.(reader, sections.configs);
  return sections;
}

/** Whether registries may have been meant to stand under this key: then the file names others than it seems. */
function mayBeMirrors({ key }: Entry): boolean {
  return nearestWord(key, KEYS.file) === 'mirrors' || /[.:*]/.test(key);
}

function fill<V>(target: Map<string, V>, from: ReadonlyMap<string, V>): void {
  for (const [key, value] of from) target.set(key, value);
}
