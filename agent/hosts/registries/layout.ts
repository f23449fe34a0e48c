import { indentOf, type SourceText } from './source-text.ts';
import { ALL_KEYS, KEYS, nearestWord } from './words.ts';
import { isUnquotedStar } from './yaml-syntax.ts';

/** Columns of one indentation level in a file without indented lines. */
const DEFAULT_STEP = 2;

/** The role of a line, according to its words alone. */
type Role = 'section' | 'registry' | 'part' | 'setting' | 'item' | 'other';

/** A line above that later lines may belong to. */
interface Open {
  readonly indent: number;
  readonly role: Role;
  readonly key: string;
}

/** Reports a correction of the current line. */
type Correct = (code: string, column: number, message: string, corrected: string) => void;

const KEY = /^("[^"]*"|'[^']*'|[^\s"'#{}[\],][^\s"'#{}[\],]*?)\s*:(?=\s|$)/;
/** A registry as a key: it has a dot or a port, or is `localhost` or a star. */
const REGISTRY = /^(?:\*|localhost|[^\s/]*[.:][^\s/]*)$/;
/** A value that begins with a quote and has no closing one. */
const OPEN_QUOTE = /^(?:-\s+)?(?:[^\s"'#]+\s*:\s+)?(?:"[^"\\]*|'[^']*)$/;
/** Keys that no other word resembles by accident. A registry without a dot may resemble `mirrors`, `auth` or `tls`. */
const LONG_KEYS: readonly string[] = [...KEYS.mirror, ...KEYS.auth, ...KEYS.tls].filter(
  (key) => key.length > 4,
);
const JOINED_KEY = new RegExp(`^(?:(?:${ALL_KEYS.join('|')}):(?=[^\\s:])|[\\w-]+:(?=https?://))`);

/**
 * Corrects the layout of a file that does not parse as expected: indentation with tabs or to a wrong column, `*` without
 * quotes, no space after a colon or a dash, a quote that is not closed. Every correction is reported as a finding.
 *
 * @returns the text with all corrections
 */
export function repairLayout(source: SourceText): string {
  const open: Open[] = [];
  const step = stepOf(source.lines);
  const repaired = source.lines.map((line, index) => {
    const content = line.trimStart();
    if (content === '' || /^(?:#|---|\.\.\.)/.test(content)) return line;
    const start = source.startOf(index + 1);
    let current = line;
    const correct: Correct = (code, column, message, corrected) => {
      source.add({ code, at: start + column, message, line: corrected, fatal: true });
      current = corrected;
    };
    correctTokens(current, correct);
    const tab = /^\s*/.exec(line)?.[0].indexOf('\t') ?? -1;
    if (tab >= 0) {
      const spaces = current.replace(/^\s*/, (space) => space.replaceAll('\t', ' '.repeat(step)));
      const indent = expectedIndent(spaces, open, step) ?? indentOf(spaces);
      const message = 'a tab in the indentation, which YAML does not allow';
      correct('indentation', tab, message, moved(spaces, indent));
    }
    const expected = expectedIndent(current, open, step);
    if (expected !== undefined && expected !== indentOf(current)) {
      const message = `wrong indentation: ${placeOf(current, open, expected)}`;
      correct('indentation', indentOf(line), message, moved(current, expected));
    }
    push(open, current);
    return current;
  });
  return repaired.join('\n');
}

function correctTokens(line: string, correct: Correct): void {
  const indent = indentOf(line);
  const content = line.trim();
  const key = JOINED_KEY.exec(content)?.[0];
  if (key !== undefined) {
    const corrected = `${line.slice(0, indent)}${key} ${content.slice(key.length)}`;
    correct('missing-space', indent + key.length, 'a space belongs after the colon', corrected);
  } else if (/^-(?:https?:\/\/|["'])/.test(content)) {
    const corrected = `${line.slice(0, indent)}- ${content.slice(1)}`;
    correct('missing-space', indent + 1, 'a space belongs after the dash', corrected);
  } else if (isUnquotedStar(line)) {
    const corrected = line.replace(/\*[^\s:]*/, '"$&"');
    correct('unquoted-star', indent, 'the star needs quotes: YAML reads it as an alias', corrected);
  } else if (OPEN_QUOTE.test(content)) {
    const column = line.search(/["']/);
    const corrected = line.trimEnd() + line.charAt(column);
    correct('open-quote', column, 'this quote is not closed', corrected);
  }
}

/** Columns of one indentation level in this file: the smallest indentation of a line. */
function stepOf(lines: readonly string[]): number {
  const indents = lines.filter((line) => /^ {2,8}[^\s#]/.test(line)).map(indentOf);
  return indents.reduce((min, indent) => Math.min(min, indent), 8) % 8 || DEFAULT_STEP;
}

function moved(line: string, indent: number): string {
  return ' '.repeat(indent) + line.trimStart();
}

function keyOf(content: string): string | undefined {
  return KEY.exec(content)?.[1]?.replace(/^(["'])(.*)\1$/, '$2');
}

/** The key as it is written, or the known key that it is a misspelling of. A registry is none. */
function wordOf(content: string): string | undefined {
  const key = keyOf(content);
  if (key === undefined || ALL_KEYS.includes(key) || REGISTRY.test(key)) return key;
  return nearestWord(key, LONG_KEYS) ?? key;
}

function roleOf(content: string): Role {
  if (/^-(?:\s|$)/.test(content)) return 'item';
  const key = wordOf(content);
  if (key === undefined) return 'other';
  const isOneOf = (words: readonly string[]): boolean => words.includes(key);
  if (isOneOf(KEYS.file)) return 'section';
  if (isOneOf([...KEYS.mirror, ...KEYS.config])) return 'part';
  if (isOneOf([...KEYS.auth, ...KEYS.tls])) return 'setting';
  return REGISTRY.test(key) ? 'registry' : 'other';
}

function push(open: Open[], line: string): void {
  const content = line.trimStart();
  const role = roleOf(content);
  const key = wordOf(content);
  if (key === undefined || role === 'item') return;
  while (open.length > 0 && (open.at(-1)?.indent ?? 0) >= indentOf(line)) open.pop();
  open.push({ indent: indentOf(line), role, key });
}

function isAuth({ key }: Open): boolean {
  return (KEYS.auth as readonly string[]).includes(key);
}

/** The column at which the line belongs; undefined if its words do not show it, or the line may stay. */
function expectedIndent(line: string, open: readonly Open[], step: number): number | undefined {
  const content = line.trimStart();
  const indent = indentOf(line);
  const role = roleOf(content);
  const key = wordOf(content) ?? '';
  const above = open.findLastIndex((one) => one.indent < indent);
  const parent = open[above];
  // Keys under rewrite are patterns, which may look like any other key.
  if (parent?.key === 'rewrite' || role === 'other') return undefined;
  // An unknown key under auth may be a credential, so it is not moved.
  if (role === 'registry' && open.slice(0, above + 1).some(isAuth)) return undefined;
  if (role === 'section') return 0;
  if (role === 'item') {
    const list = open.at(-1);
    return list?.key === 'endpoint' && indent < list.indent ? list.indent + step : undefined;
  }
  let owner: number;
  if (role === 'registry') {
    owner = open.findLastIndex((one) => one.role === 'section');
  } else if (role === 'part') {
    if (parent?.key === 'auth' && key === 'auth') return undefined;
    owner = open.findLastIndex(
      (one, index) => one.role === 'registry' || open[index - 1]?.role === 'section',
    );
  } else {
    const part = (KEYS.tls as readonly string[]).includes(key) ? 'tls' : 'auth';
    owner = open.findLastIndex((one) => one.key === part);
  }
  const column = open[owner + 1]?.indent;
  if (owner < 0 || (owner === above && (column === undefined || column === indent))) {
    return undefined;
  }
  return column ?? (open[owner]?.indent ?? 0) + step;
}

/** Describes the right place of a line, for a message. */
function placeOf(line: string, open: readonly Open[], column: number): string {
  const content = line.trimStart();
  const role = roleOf(content);
  if (role === 'section') return `${keyOf(content) ?? ''} belongs at the start of the line`;
  const parent = open.findLast((one) => one.indent < column)?.key ?? '';
  if (role === 'registry') return `a registry belongs under ${parent}, further to the right`;
  if (role === 'part')
    return `${keyOf(content) ?? ''} belongs under its registry, further to the right`;
  return `${role === 'item' ? 'an endpoint' : (keyOf(content) ?? '')} belongs under ${parent}`;
}
