import { isAddress, redactAddress } from './address.ts';
import { HIDDEN } from './secret.ts';
import { ALL_KEYS, KEYS, nearestWord } from './words.ts';

/** Maximum length of a line in a finding, in characters. */
const MAX_SHOWN = 200;
/** Maximum number of characters of a line that are tokenized. The rest is never shown. */
const MAX_LINE = 4096;

/** A line with its secrets hidden. */
export interface MaskedLine {
  readonly text: string;
  /** Maps an index in the line to an index in {@link text}. */
  index(ofLine: number): number;
}

/** The context of a line or of a part of one. It decides which values may be shown. */
type Context = 'credential' | 'rewrite' | 'plain';

/** A token of a line, and the text that is shown for it. */
interface Token {
  readonly from: number;
  readonly length: number;
  readonly text: string;
}

/** Indentation and list dashes at the start of a line. */
const START = /^\s*(?:-\s+|-(?=https?:\/\/))*/;
const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/;
/** A scalar that is a key: a colon follows, and then white space or the end of the line. */
const BLOCK_KEY =
  /^(?:"(?:[^"\\]|\\.){0,256}"|'(?:[^']|''){0,256}'|[^\s"'#{}[\],][^#{}[\],"']{0,255}?)(?=\s{0,64}:(?:\s|$|https?:\/\/))/;
const FLOW_PLAIN = /^(?!:(?:[\s,{}[\]]|$))[^\s,{}[\]"'](?:(?!:[\s,{}[\]]|:$)[^,{}[\]])*/;

/** Parts of the names of keys whose values are credentials. */
const CREDENTIAL = /pass|pwd|user|auth|token|secret|cred|login/i;

/**
 * Hides the secrets in lines of a registries.yaml, however broken the file is. A value is shown only if its key and its
 * form show that it is an address, a path, a boolean or a rewrite. Comments are left out, because they may contain old
 * passwords.
 */
export class LineMask {
  readonly #contexts: readonly Context[];

  /**
   * @param original the lines of the file, of which `lines` are the corrected ones. A secret in either is hidden in both
   */
  constructor(lines: readonly string[], original: readonly string[]) {
    const before = contexts(original);
    this.#contexts = contexts(lines).map((context, index) =>
      before[index] === 'credential' ? 'credential' : context,
    );
  }

  /**
   * Whether a message may name a key of this line.
   *
   * @param number of the line, from 1
   */
  mayName(number: number, key: string): boolean {
    return this.#contexts[number - 1] === 'credential' ? isKnownWord(key) : isShowableKey(key);
  }

  /**
   * Hides the secrets of a line.
   *
   * @param number of the line, from 1
   */
  mask(number: number, line: string): MaskedLine {
    const tokens: Token[] = [];
    let text = '';
    for (const token of tokensOf(
      line.slice(0, MAX_LINE),
      this.#contexts[number - 1] ?? 'credential',
    )) {
      if (text.length + token.text.length > MAX_SHOWN) {
        tokens.push({ ...token, length: line.length - token.from, text: '...' });
        text += '...';
        break;
      }
      tokens.push(token);
      text += token.text;
    }
    const shown = text.trimEnd();
    return { text: shown, index: (ofLine) => Math.min(shown.length, indexIn(tokens, ofLine)) };
  }
}

function indexIn(tokens: readonly Token[], ofLine: number): number {
  let shown = 0;
  for (const { from, length, text } of tokens) {
    if (ofLine < from + length) {
      const same = text.length === length ? ofLine - from : 0;
      return shown + Math.max(0, same);
    }
    shown += text.length;
  }
  return shown;
}

/** Whether a message may name a key: a known one or a misspelt one, a registry, or a short word in lower case. */
function isShowableKey(word: string): boolean {
  if (word === '*' || word === '<<' || isKnownWord(word)) return true;
  return isAddress(word) || /^[a-z][a-z_-]{0,23}$/.test(word);
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

/** The context of every line, from the keys above it with less indentation. */
function contexts(lines: readonly string[]): Context[] {
  const above: { indent: number; context: Context }[] = [];
  return lines.map((whole) => {
    const line = whole.slice(0, MAX_LINE);
    const content = line.trimStart();
    const indent = line.length - content.length;
    const item = /^-(?:\s|$)/.test(content);
    if (content !== '' && !content.startsWith('#')) {
      // An item of a list may be in the same column as its key.
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

/** Splits a line into tokens, with the text to show for each. */
function* tokensOf(line: string, around: Context): Generator<Token> {
  const stack: { context: Context; key: string }[] = [];
  let context = around;
  // A value that has no key and is not an item is the continuation of an unknown value.
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
      // The next entry does not belong to the key of this one.
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

/** The scalar at the start of the text, and whether it is a key. In block style a value extends to the end of the line. */
function scalar(text: string, flow: boolean): { text: string; key: boolean } | undefined {
  if (!flow) {
    const key = BLOCK_KEY.exec(text)?.[0];
    if (key !== undefined) return { text: key, key: true };
    if (/^[{[:]/.test(text)) return undefined;
    const value = QUOTED.exec(text)?.[0] ?? text.replace(/\s#.*$/, '').trimEnd();
    // Text after a closing quote, other than a comment, is invalid: hide it with the value.
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
  if (isAddress(value)) return text;
  const meant = nearestWord(key, ALL_KEYS) ?? '';
  if (meant.endsWith('_file') && /^[\w./ -]+$/.test(value)) return text;
  const address = redactAddress(value);
  return address === undefined ? hidden : `${open}${address}${close}`;
}
