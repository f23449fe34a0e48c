import { isMap, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from 'yaml';

import type { SourceText } from './source-text.ts';
import { KEYS, nearestWord } from './words.ts';

/** One key of a map with its value. */
export interface Entry {
  readonly key: string;
  readonly keyNode: Scalar;
  /** Absent if the value is empty or `null`. */
  readonly value?: Node;
}

/** Reads typed values from a parsed document, and reports values of other types as findings. */
export class NodeReader {
  readonly source: SourceText;

  constructor(source: SourceText) {
    this.source = source;
  }

  /** The entries of a map in file order. Duplicates, and keys that are not text, are reported and left out. */
  entries(map: YAMLMap, fatal: boolean): Entry[] {
    const lines = new Map<string, number>();
    const entries: Entry[] = [];
    for (const { key: node, value } of map.items) {
      if (!isScalar(node) || node.value === null || node.source === '') {
        const at = this.at(isNode(node) ? node : isNode(value) ? value : map);
        this.source.add({ code: 'invalid-key', at, message: 'a key must be text', fatal });
        continue;
      }
      const key = textOf(node);
      const first = lines.get(key);
      if (first !== undefined) {
        const message = `duplicate key, first in line ${first}; one of the two would be ignored`;
        this.source.add({ code: 'duplicate-key', at: this.at(node), message, fatal: true });
        continue;
      }
      lines.set(key, this.source.locate(this.at(node)).line);
      const isNull = !isNode(value) || (isScalar(value) && value.value === null);
      entries.push({ key, keyNode: node, ...(!isNull && { value }) });
    }
    return entries;
  }

  /** The value as a map; undefined if it is not one. Anything but an empty value is then reported. */
  map(entry: Entry, what: string, fatal = false): YAMLMap | undefined {
    const { value } = entry;
    if (value === undefined || isMap(value)) return value;
    const message = `${this.nameOf(entry) ?? 'this'} must be a map: ${what}`;
    this.source.add({ code: 'wrong-type', at: this.at(value), message, fatal });
    return undefined;
  }

  /** The value as text. Numbers and booleans are accepted as in k3s, with a warning. */
  text(entry: Entry): string | undefined {
    const { value } = entry;
    if (value === undefined) return undefined;
    const name = this.nameOf(entry) ?? 'this';
    if (!isScalar(value)) {
      const message = `${name} must be text`;
      this.source.add({ code: 'wrong-type', at: this.at(value), message });
      return undefined;
    }
    const text = textOf(value);
    if (typeof value.value !== 'string') {
      const message = `${name} is not text without quotes`;
      const edit = this.replace(value, JSON.stringify(text));
      const at = this.at(value);
      this.source.add({ code: 'wrong-type', severity: 'warning', at, message, edit });
    }
    return text;
  }

  /** The value as a boolean of YAML 1.1, which k3s reads. */
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

  /** Reports an unknown key, with the known key that is most similar. */
  unknown(entry: Entry, where: string, known: readonly string[], fatal = false): void {
    if (this.source.isFull) return;
    const { key, keyNode } = entry;
    const similar = nearestWord(key, known);
    // An unknown key under auth may be a credential.
    const shown = similar !== undefined || known !== KEYS.auth;
    const name = (shown ? this.nameOf(entry) : undefined) ?? 'this key';
    const hint =
      similar === undefined ? `it knows ${known.join(', ')}` : `did you mean ${similar}?`;
    const message = `k3s does not know ${name} ${where}, and ignores it; ${hint}`;
    const edit = similar === undefined ? undefined : this.replace(keyNode, similar);
    this.source.add({ code: 'unknown-key', at: this.at(keyNode), message, edit, fatal });
  }

  /** The key in quotes, for a message; undefined if it may be a credential. */
  nameOf({ key, keyNode }: Entry): string | undefined {
    return this.source.nameOf(key, this.at(keyNode));
  }

  /** Index of a node in the text. */
  at(node: Node): number {
    return node.range?.[0] ?? 0;
  }

  /** An edit that replaces a node by a text, as it is. */
  replace(node: Node, text: string): { from: number; to: number; text: string } {
    const [from, to] = node.range ?? [0, 0];
    return { from, to, text };
  }

  /** An edit that replaces a node by a text in double quotes. */
  replaceQuoted(node: Node, text: string): { from: number; to: number; text: string } {
    return this.replace(node, JSON.stringify(text));
  }
}

/** The text of a scalar. For a number it is the source, not the value. */
export function textOf(node: Scalar): string {
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value);
}
