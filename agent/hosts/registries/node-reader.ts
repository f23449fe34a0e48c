import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';

import type { AliasTargets } from './aliases.ts';
import type { SourceText } from './source-text.ts';
import { KEYS, nearestWord } from './words.ts';

/** One key of a map with its value. */
export interface Entry {
  readonly key: string;
  readonly keyNode: Scalar;
  /** Absent if the value is empty or `null`. */
  readonly value?: Node;
  /** All entries of the map that the key is in. */
  readonly siblings: ReadonlyMap<string, Entry>;
}

/**
 * Maximum number of entries and items that are read. Without aliases a file of the maximum number of tokens has less. Aliases of
 * aliases could stand for any number.
 */
const MAX_READ = 200_000;

/**
 * Reads typed values from a parsed document, and reports values of other types as findings. An alias is read as what it
 * stands for, and `<<` adds the entries of other maps, as in YAML 1.1, which k3s reads.
 */
export class NodeReader {
  readonly source: SourceText;
  readonly #aliases: AliasTargets;
  #read = 0;

  constructor(source: SourceText, aliases: AliasTargets = new Map()) {
    this.source = source;
    this.#aliases = aliases;
  }

  /** The entries of a map in file order. Duplicates, and keys that are not text, are reported and left out. */
  entries(map: YAMLMap, fatal: boolean): Entry[] {
    if (!this.#mayRead(map.items.length, map)) return [];
    const lines = new Map<string, number>();
    const entries = new Map<string, Entry>();
    for (const { key: node, value: written } of map.items) {
      const value = this.resolve(written);
      if (isScalar(node) && node.source === '<<' && node.type === 'PLAIN') {
        for (const entry of this.#merged(value, node)) {
          if (lines.has(entry.key)) this.#reportOrder(node, entry);
          entries.set(entry.key, entry);
        }
        continue;
      }
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
      entries.set(key, { key, keyNode: node, siblings: entries, ...(!isNull && { value }) });
    }
    return [...entries.values()];
  }

  /** The items of a list, without those that are empty. */
  items(list: YAMLSeq): Node[] {
    if (!this.#mayRead(list.items.length, list)) return [];
    return list.items.map((item) => this.resolve(item)).filter((item) => item !== undefined);
  }

  /** The node, or what it stands for if it is an alias; undefined for anything else. */
  resolve(node: unknown): Node | undefined {
    if (isAlias(node)) return this.#aliases.get(node);
    return isNode(node) ? node : undefined;
  }

  /** The entries that `<<` adds. Of several maps the first that has a key counts. */
  #merged(value: Node | undefined, at: Scalar): Entry[] {
    const maps = isSeq(value) ? this.items(value).toReversed() : [value];
    return maps.flatMap((map) => {
      if (isMap(map)) return this.entries(map, false);
      const message = '<< must be followed by the alias of a map, or a list of such aliases';
      this.source.add({ code: 'wrong-type', at: this.at(at), message, fatal: true });
      return [];
    });
  }

  #reportOrder(merge: Scalar, entry: Entry): void {
    const name = this.nameOf(entry) ?? 'a key';
    const message = `<< replaces ${name} above it in k3s; put << first`;
    const at = this.at(merge);
    this.source.add({ code: 'merge-order', severity: 'warning', at, message });
  }

  /** Counts what is read. Reports when it is too much. */
  #mayRead(count: number, where: Node): boolean {
    this.#read += 1 + count;
    if (this.#read <= MAX_READ) return true;
    if (this.#read - 1 - count <= MAX_READ) {
      const message = 'the aliases stand for too much; write the values where they belong';
      this.source.add({ code: 'too-complex', at: this.at(where), message, fatal: true });
    }
    return false;
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
    // Where the known key is there too, a person has to decide which of the two counts.
    const isChoice = similar !== undefined && entry.siblings.has(similar);
    this.source.add({ code: 'unknown-key', at: this.at(keyNode), message, edit, fatal, isChoice });
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
