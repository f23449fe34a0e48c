import { indentOf, type SourceText } from './source-text.ts';
import { ALL_KEYS, KEYS } from './words.ts';
import { isUnquotedStar } from './yaml-syntax.ts';

/** Columns of a level where the file has none of its own yet. */
const DEFAULT_STEP = 2;

/** What a line is, by its words alone. */
type Role = 'section' | 'registry' | 'part' | 'setting' | 'item' | 'other';

interface Open {
  readonly indent: number;
  readonly role: Role;
  readonly key: string;
}

const KEY = /^("[^"]*"|'[^']*'|[^\s"'#{}[\],][^\s"'#{}[\],]*?)\s*:(?=\s|$)/;
/** A registry as a key: with a dot or a port, `localhost` or a star. */
const REGISTRY = /^(?:\*|localhost|[^\s/]*[.:][^\s/]*)$/;
/** A value that begins with a quote and has no other one. */
const OPEN_QUOTE = /^(?:-\s+)?(?:[^\s"'#]+\s*:\s+)?(?:"[^"\\]*|'[^']*)$/;
const JOINED_KEY = new RegExp(`^(?:(?:${ALL_KEYS.join('|')}):(?=[^\\s:])|[\\w-]+:(?=https?://))`);

/**
 * Finds lines that are not where their words belong, of a file that does not read as it should, and mends
 * them: indentation with tabs or to a wrong column, `*` without quotes, no space after a colon or a dash, a
 * quote that is not closed.
 *
 * @returns the text as it would be with all corrections
 */
export function repairLayout(source: SourceText): string {
  const open: Open[] = [];
  const step = stepOf(source.lines);
  const repaired = source.lines.map((line, index) => {
    const content = line.trimStart();
    if (content === '' || /^(?:#|---|\.\.\.)/.test(content)) return line;
    const start = source.startOf(index + 1);
    let current = line;
    const mend = (code: string, column: number, message: string, mended: string): void => {
      source.add({ code, at: start + column, message, line: mended, fatal: true });
      current = mended;
    };
    mendWords(current, mend);
    const tab = /^\s*/.exec(line)?.[0].indexOf('\t') ?? -1;
    if (tab >= 0) {
      const spaces = current.replace(/^\s*/, (space) => space.replaceAll('\t', ' '.repeat(step)));
      const indent = expectedIndent(spaces, open, step) ?? indentOf(spaces);
      const message = 'a tab as indentation, which YAML does not take';
      mend('indentation', tab, message, moved(spaces, indent));
    }
    const expected = expectedIndent(current, open, step);
    if (expected !== undefined && expected !== indentOf(current)) {
      const message = `wrong indentation: ${placeOf(current, open, expected)}`;
      mend('indentation', indentOf(line), message, moved(current, expected));
    }
    push(open, current);
    return current;
  });
  return repaired.join('\n');
}

function mendWords(
  line: string,
  mend: (code: string, column: number, message: string, mended: string) => void,
): void {
  const indent = indentOf(line);
  const content = line.trim();
  const key = JOINED_KEY.exec(content)?.[0];
  if (key !== undefined) {
    const mended = `${line.slice(0, indent)}${key} ${content.slice(key.length)}`;
    mend('missing-space', indent + key.length, 'a space belongs after the colon', mended);
  } else if (/^-(?:https?:\/\/|["'])/.test(content)) {
    const mended = `${line.slice(0, indent)}- ${content.slice(1)}`;
    mend('missing-space', indent + 1, 'a space belongs after the dash', mended);
  } else if (isUnquotedStar(line)) {
    const mended = line.replace(/\*[^\s:]*/, '"$&"');
    mend('unquoted-star', indent, 'the star needs quotes: YAML takes it for an alias', mended);
  } else if (OPEN_QUOTE.test(content)) {
    const column = line.search(/["']/);
    const mended = line.trimEnd() + line.charAt(column);
    mend('open-quote', column, 'this quote is not closed', mended);
  }
}

/** Columns of a level in this file: the least indentation of a line. */
function stepOf(lines: readonly string[]): number {
  const indents = lines.filter((line) => /^ {2,8}[^\s#]/.test(line)).map(indentOf);
  return indents.reduce((least, indent) => Math.min(least, indent), 8) % 8 || DEFAULT_STEP;
}

function moved(line: string, indent: number): string {
  return ' '.repeat(indent) + line.trimStart();
}

function keyOf(content: string): string | undefined {
  return KEY.exec(content)?.[1]?.replace(/^(["'])(.*)\1$/, '$2');
}

function roleOf(content: string): Role {
  if (/^-(?:\s|$)/.test(content)) return 'item';
  const key = keyOf(content);
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
  const key = keyOf(content);
  if (key === undefined || role === 'item') return;
  while (open.length > 0 && (open.at(-1)?.indent ?? 0) >= indentOf(line)) open.pop();
  open.push({ indent: indentOf(line), role, key });
}

function isAuth({ key }: Open): boolean {
  return (KEYS.auth as readonly string[]).includes(key);
}

/** The column at which the line belongs; undefined where its words do not say so, or it may be where it is. */
function expectedIndent(line: string, open: readonly Open[], step: number): number | undefined {
  const content = line.trimStart();
  const indent = indentOf(line);
  const role = roleOf(content);
  const key = keyOf(content) ?? '';
  const above = open.findLastIndex((one) => one.indent < indent);
  const parent = open[above];
  // Patterns of a rewrite look like anything.
  if (parent?.key === 'rewrite' || role === 'other') return undefined;
  // What stands under auth and is no key of it may be a credential: it stays there.
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
