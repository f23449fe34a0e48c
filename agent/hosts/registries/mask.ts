import { HIDDEN } from './secret.ts';
import { ALL_KEYS, KEYS, nearestWord } from './words.ts';

/** Longest line that is shown, in characters. */
const MAX_SHOWN = 200;
/** Part of a line that is looked at, in characters; no more than this is shown in any case. */
const MAX_LINE = 4096;

/** A line as it may be shown, and where a place of the line is in it. */
export interface MaskedLine {
  readonly text: string;
  /** Index in {@link text} of an index in the line. */
  index(ofLine: number): number;
}

/** What surrounds a line or a part of one: it decides what of its values may be shown. */
type Context = 'credential' | 'rewrite' | 'plain';

interface Piece {
  readonly from: number;
  readonly length: number;
  readonly text: string;
}

/** Indentation and dashes; then what is left. */
const START = /^\s*(?:-\s+|-(?=https?:\/\/))*/;
const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/;
/** A scalar that is a key: what follows it is a colon and white space or the end. */
const BLOCK_KEY =
  /^(?:"(?:[^"\\]|\\.){0,256}"|'(?:[^']|''){0,256}'|[^\s"'#{}[\],][^#{}[\],"']{0,255}?)(?=\s{0,64}:(?:\s|$|https?:\/\/))/;
const FLOW_PLAIN = /^(?!:(?:[\s,{}[\]]|$))[^\s,{}[\]"'](?:(?!:[\s,{}[\]]|:$)[^,{}[\]])*/;

/** Words that stand before credentials in files of this kind, in whatever spelling. */
const CREDENTIAL = /pass|pwd|user|auth|token|secret|cred|login/i;

/** Hosts and URLs without user, query and fragment: host with a dot, a port or `localhost`. */
const HOST = String.raw`(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)`;
const PATH = String.raw`(?:/[A-Za-z0-9._~/-]*)?`;
const ADDRESS = new RegExp(
  `^(?:[a-z]{1,10}://${HOST}(?::\\d{1,5})?|${HOST}:\\d{1,5}|[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+|localhost)${PATH}$`,
);
const USER_INFO = /^([a-z]{1,10}:\/\/)[^/\s]*@/;

/**
 * Shows lines of a registries.yaml without what is secret in them, however broken the file is: a value is
 * shown only when its key and its form say that it is an address, a path, a switch or a rewrite. Comments
 * are left out, people keep old passwords there.
 */
export class LineMask {
  readonly #contexts: readonly Context[];

  /**
   * @param original the lines in the file, where `lines` are repaired ones: what is secret in the one is so
   * in the other
   */
  constructor(lines: readonly string[], original: readonly string[]) {
    const before = contexts(original);
    this.#contexts = contexts(lines).map((context, index) =>
      before[index] === 'credential' ? 'credential' : context,
    );
  }

  /** Whether a key of this line, from 1, may stand in a message. */
  mayName(number: number, key: string): boolean {
    return this.#contexts[number - 1] === 'credential' ? isKnownWord(key) : isShowableKey(key);
  }

  /** @param number of the line, from 1 */
  mask(number: number, line: string): MaskedLine {
    const pieces: Piece[] = [];
    let text = '';
    for (const piece of piecesOf(
      line.slice(0, MAX_LINE),
      this.#contexts[number - 1] ?? 'credential',
    )) {
      if (text.length + piece.text.length > MAX_SHOWN) {
        pieces.push({ ...piece, length: line.length - piece.from, text: '...' });
        text += '...';
        break;
      }
      pieces.push(piece);
      text += piece.text;
    }
    const shown = text.trimEnd();
    return { text: shown, index: (ofLine) => Math.min(shown.length, indexIn(pieces, ofLine)) };
  }
}

function indexIn(pieces: readonly Piece[], ofLine: number): number {
  let shown = 0;
  for (const { from, length, text } of pieces) {
    if (ofLine < from + length) {
      const same = text.length === length ? ofLine - from : 0;
      return shown + Math.max(0, same);
    }
    shown += text.length;
  }
  return shown;
}

/** Whether a word may stand in a message: a key of the file or one close to it, a registry, a word in lower case. */
function isShowableKey(word: string): boolean {
  if (word === '*' || word === '<<' || isKnownWord(word)) return true;
  return ADDRESS.test(word) || /^[a-z][a-z_-]{0,23}$/.test(word);
}

/** An address without credentials as it may stand in a message. */
export function showAddress(text: string): string {
  const address = redactAddress(text);
  return address === undefined ? 'this value' : `"${address}"`;
}

function isKnownWord(word: string): boolean {
  return nearestWord(word, ALL_KEYS) !== undefined;
}

function isCredentialKey(word: string): boolean {
  return CREDENTIAL.test(word) || nearestWord(word, KEYS.auth) !== undefined;
}

function unquote(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2');
}

/** The context of every line, by the keys that stand above it with less indentation. */
function contexts(lines: readonly string[]): Context[] {
  const above: { indent: number; context: Context }[] = [];
  return lines.map((whole) => {
    const line = whole.slice(0, MAX_LINE);
    const content = line.trimStart();
    const indent = line.length - content.length;
    const item = /^-(?:\s|$)/.test(content);
    if (content !== '' && !content.startsWith('#')) {
      // An item of a list may stand in the column of its key.
      while (above.length > 0 && isOutside(above.at(-1)?.indent ?? 0, indent, item)) above.pop();
    }
    const around = above.at(-1)?.context ?? 'plain';
    const start = START.exec(line)?.[0].length ?? 0;
    const key = BLOCK_KEY.exec(line.slice(start))?.[0];
    if (key === undefined) return around;
    const own: Context =
      around === 'credential' || isCredentialKey(unquote(key))
        ? 'credential'
        : around === 'rewrite' || unquote(key) === 'rewrite'
          ? 'rewrite'
          : 'plain';
    above.push({ indent: item ? start : indent, context: own });
    return around;
  });
}

function isOutside(keyIndent: number, indent: number, item: boolean): boolean {
  return item ? keyIndent > indent : keyIndent >= indent;
}

/** Takes a line apart into what may be shown and what is hidden. */
function* piecesOf(line: string, around: Context): Generator<Piece> {
  const stack: { context: Context; key: string }[] = [];
  let context = around;
  // A value without a key that is no item either is a part of something that broke off.
  let key = /^\s*-/.test(line) ? '-' : '';
  let at = START.exec(line)?.[0].length ?? 0;
  yield { from: 0, length: at, text: line.slice(0, at) };
  while (at < line.length) {
    const rest = line.slice(at);
    const space = /^\s+/.exec(rest)?.[0];
    const mark = /^[{}[\],:?]/.exec(rest)?.[0];
    const word = space === undefined ? scalar(rest, stack.length > 0) : undefined;
    if (rest.startsWith('#')) return;
    if (space !== undefined) {
      yield { from: at, length: space.length, text: space };
      at += space.length;
    } else if (word !== undefined) {
      const name = unquote(word.text);
      const shown = word.key
        ? shownKey(name, word.text, context)
        : shownValue(key, word.text, context);
      yield { from: at, length: word.text.length, text: shown };
      if (word.key) {
        key = name;
        if (context !== 'credential' && isCredentialKey(name)) context = 'credential';
        else if (context === 'plain' && name === 'rewrite') context = 'rewrite';
      }
      at += word.text.length;
    } else if (mark !== undefined) {
      if (mark === '{' || mark === '[') stack.push({ context, key });
      if (mark === '}' || mark === ']') ({ context, key } = stack.pop() ?? { context, key });
      // The next entry has nothing to do with the key of this one.
      if (mark === ',') ({ context, key } = entryStart(stack, around, key));
      yield { from: at, length: 1, text: mark };
      at += 1;
    } else {
      yield { from: at, length: rest.length, text: HIDDEN };
      at = line.length;
    }
  }
}

function entryStart(
  stack: readonly { context: Context; key: string }[],
  around: Context,
  key: string,
): { context: Context; key: string } {
  return stack.at(-1) ?? { context: around, key };
}

/** The scalar at the start of the text, and whether it is a key. In a block it goes to the end of the line. */
function scalar(text: string, flow: boolean): { text: string; key: boolean } | undefined {
  if (!flow) {
    const key = BLOCK_KEY.exec(text)?.[0];
    if (key !== undefined) return { text: key, key: true };
    if (/^[{[:]/.test(text)) return undefined;
    const value = QUOTED.exec(text)?.[0] ?? text.replace(/\s#.*$/, '').trimEnd();
    // What follows a closing quote without being a comment belongs to nothing: hidden with it.
    const after = text.slice(value.length).trimStart();
    return { text: after === '' || after.startsWith('#') ? value : text, key: false };
  }
  const word = (QUOTED.exec(text) ?? FLOW_PLAIN.exec(text))?.[0];
  if (word === undefined) return undefined;
  return { text: word.trimEnd(), key: /^\s*:/.test(text.slice(word.length)) };
}

function shownKey(name: string, text: string, context: Context): string {
  if (context === 'rewrite') return text;
  const may = context === 'credential' ? isKnownWord(name) : isShowableKey(name);
  return may ? text : HIDDEN;
}

function shownValue(key: string, text: string, context: Context): string {
  const [, open = '', value = '', close = ''] = /^(["']?)(.*?)(["']?)$/s.exec(text) ?? [];
  const hidden = value === '' ? text : `${open}${HIDDEN}${close}`;
  if (context === 'credential') return hidden;
  if (text === '---') return text;
  if (/^(?:true|false|yes|no|null|~|\d{1,5})$/i.test(value) || context === 'rewrite') return text;
  if (key === '' && !/^https?:/.test(value)) return hidden;
  if (ADDRESS.test(value)) return text;
  const meant = nearestWord(key, ALL_KEYS) ?? '';
  if (meant.endsWith('_file') && /^[\w./ -]+$/.test(value)) return text;
  const address = redactAddress(value);
  return address === undefined ? hidden : `${open}${address}${close}`;
}

/** The address without user, password, query and fragment; undefined for what is none. */
function redactAddress(text: string): string | undefined {
  const redacted = text.replace(USER_INFO, `$1${HIDDEN}@`).replace(/[?#].*$/s, `?${HIDDEN}`);
  const bare = redacted.replace(`${HIDDEN}@`, '').replace(`?${HIDDEN}`, '');
  return ADDRESS.test(bare) ? redacted : undefined;
}
