import { isMap, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from 'yaml';

import type { SourceText } from './source-text.ts';
import { KEYS, nearestWord } from './words.ts';

/** One key of a map with its value. */
export interface Entry {
  readonly key: string;
  readonly keyNode: Scalar;
  /** Absent where nothing or `null` is written. */
  readonly value?: Node;
}

/** Reads typed values out of a parsed document, and tells of what is none where it stands. */
export class NodeReader {
  readonly source: SourceText;

  constructor(source: SourceText) {
    this.source = source;
  }

  /** The entries of a map in file order, duplicates and keys that are no text reported and left out. */
  entries(map: YAMLMap, fatal: boolean): Entry[] {
    const lines = new Map<string, number>();
    const entries: Entry[] = [];
    for (const { key: node, value } of map.items) {
      if (!isScalar(node) || node.value === null || node.source === '') {
        const at = this.at(isNode(node) ? node : isNode(value) ? value : map);
        this.source.add({ code: 'invalid-key', at, message: 'a key must be a text', fatal });
        continue;
      }
      const key = textOf(node);
      const first = lines.get(key);
      if (first !== undefined) {
        const message = `the key is there already, in line ${first}; one of the two would be lost`;
        this.source.add({ code: 'duplicate-key', at: this.at(node), message, fatal: true });
        continue;
      }
      lines.set(key, this.source.locate(this.at(node)).line);
      const isNull = !isNode(value) || (isScalar(value) && value.value === null);
      entries.push({ key, keyNode: node, ...(!isNull && { value }) });
    }
    return entries;
  }

  /** The map that stands here; undefined when there is none, reported unless nothing is written. */
  map(entry: Entry, what: string, fatal = false): YAMLMap | undefined {
    const { value } = entry;
    if (value === undefined || isMap(value)) return value;
    const message = `${this.nameOf(entry) ?? 'this'} must be a map: ${what}`;
    this.source.add({ code: 'wrong-type', at: this.at(value), message, fatal });
    return undefined;
  }

  /** The text that stands here: numbers and booleans too, as k3s reads them, with a warning. */
  text(entry: Entry): string | undefined {
    const { value } = entry;
    if (value === undefined) return undefined;
    const name = this.nameOf(entry) ?? 'this';
    if (!isScalar(value)) {
      const message = `${name} must be a text`;
      this.source.add({ code: 'wrong-type', at: this.at(value), message });
      return undefined;
    }
    const text = textOf(value);
    if (typeof value.value !== 'string') {
      const message = `${name} is no text without quotes`;
      const edit = this.replace(value, JSON.stringify(text));
      const at = this.at(value);
      this.source.add({ code: 'wrong-type', severity: 'warning', at, message, edit });
    }
    return text;
  }

  /** What YAML 1.1 takes as true or false, as k3s does. */
  boolean({ key, value }: Entry): boolean {
    if (value === undefined) return false;
    const text = isScalar(value) ? textOf(value) : '';
    const isYes = /^(?:true|yes|on|y)$/i.test(text);
    if (isScalar(value) && (value.type === 'PLAIN' || value.type === undefined)) {
      if (isYes || /^(?:false|no|off|n)$/i.test(text)) return isYes;
    }
    const message = `${key} must be true or false, without quotes`;
    const edit = isScalar(value) ? this.replace(value, String(isYes || text === '1')) : undefined;
    this.source.add({ code: 'wrong-type', at: this.at(value), message, edit });
    return isYes;
  }

  /** Tells of a key that means nothing here. */
  unknown(entry: Entry, where: string, known: readonly string[], fatal = false): void {
    if (this.source.isFull) return;
    const { key, keyNode } = entry;
    const meant = nearestWord(key, known);
    // Under auth, whatever is no key may be a credential.
    const shown = meant !== undefined || known !== KEYS.auth;
    const name = (shown ? this.nameOf(entry) : undefined) ?? 'this key';
    const hint = meant === undefined ? `it knows ${known.join(', ')}` : `meant is ${meant}`;
    const message = `k3s does not know ${name} ${where}, and ignores it; ${hint}`;
    const edit = meant === undefined ? undefined : this.replace(keyNode, meant);
    this.source.add({ code: 'unknown-key', at: this.at(keyNode), message, edit, fatal });
  }

  /** The key in quotes, as far as it may stand in a message. */
  nameOf({ key, keyNode }: Entry): string | undefined {
    return this.source.nameOf(key, this.at(keyNode));
  }

  /** Index of a node in the text. */
  at(node: Node): number {
    return node.range?.[0] ?? 0;
  }

  /** An edit that writes a node otherwise, in its own quotes where it has some. */
  replace(node: Node, text: string): { from: number; to: number; text: string } {
    const [from, to] = node.range ?? [0, 0];
    return { from, to, text };
  }

  /** The same, in double quotes. */
  replaceQuoted(node: Node, text: string): { from: number; to: number; text: string } {
    return this.replace(node, JSON.stringify(text));
  }
}

/** What is written: the source of a number, not its value. */
export function textOf(node: Scalar): string {
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value);
}
