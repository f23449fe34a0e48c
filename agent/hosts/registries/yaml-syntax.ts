import { Lexer, parseDocument, type Document, type YAMLParseError } from 'yaml';

import { indentOf, type SourceText } from './source-text.ts';

/** Depth of nesting that is read; the file needs 5. */
const MAX_DEPTH = 32;
/** Tokens of a file, at most: enough for 10,000 registries with their settings. */
const MAX_TOKENS = 200_000;
/** Indentation that is read, in columns. */
const MAX_INDENT = 256;

/**
 * Refuses what would take the parser long or deep, and anchors: they make a line mean what stands elsewhere.
 *
 * @returns whether the text can be parsed
 */
export function checkBounds(source: SourceText): boolean {
  let flow = 0;
  let inLine = 0;
  let at = 0;
  let tokens = 0;
  let scalar = false;
  for (const token of new Lexer().lex(source.text)) {
    tokens += 1;
    const first = scalar ? '' : (token[0] ?? '');
    scalar = token === SCALAR;
    if (token === '\n' || token === '\r\n') inLine = 0;
    else if (token === '[' || token === '{') flow += 1;
    else if (token === ']' || token === '}') flow -= 1;
    else if (token === '-' || token === '?') inLine += 1;
    const deep = flow > MAX_DEPTH || inLine > MAX_DEPTH;
    if (deep || tokens > MAX_TOKENS || (first === ' ' && token.length > MAX_INDENT)) {
      const message = 'nested too deeply or too long for a registries.yaml';
      source.add({ code: 'too-complex', at, message, fatal: true });
      return false;
    }
    if (first === '&' || first === '*') reportAnchor(source, token, at);
    if (!CONTROL.has(token)) at += token.length;
  }
  return source.findings.length === 0;
}

/** The token that the lexer puts before each plain and block scalar. */
const SCALAR = '\u001f';
/** Tokens that are not in the text: a document begins, a flow breaks off, a scalar follows. */
const CONTROL: ReadonlySet<string> = new Set(['\u0002', '\u0018', SCALAR]);

function reportAnchor(source: SourceText, token: string, at: number): void {
  const { line, index } = source.locate(at);
  const text = source.lines[line - 1] ?? '';
  // `*:` is what people write for every registry; that is reported with its remedy.
  if (isUnquotedStar(text) && index === indentOf(text)) return;
  const what = token.startsWith('&') ? 'an anchor' : 'an alias';
  const message = `${what} is not taken here; write out what is meant, or in double quotes if it is a text`;
  source.add({ code: 'anchor', at, message, fatal: true });
}

/** Whether the line is a key that begins with an unquoted star: YAML takes that as an alias. */
export function isUnquotedStar(line: string): boolean {
  return /^\s*\*[^\s"']*\s*:(?:\s|$)/.test(line) && !/^\s*\*[^\s:]+\s/.test(line);
}

/** Parses the text; keys are not compared by the parser, which takes the square of their number for it. */
export function parseYaml(text: string): Document.Parsed {
  return parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
  });
}

/** The parser's messages quote the text, so they are told in words of ours. */
const MESSAGES: Partial<Record<YAMLParseError['code'], string>> = {
  BAD_INDENT: 'the indentation fits to no line above',
  BLOCK_AS_IMPLICIT_KEY: 'the indentation fits to no line above, or a value with ": " needs quotes',
  BLOCK_IN_FLOW: 'a list or map in several lines cannot stand within brackets',
  MISSING_CHAR: 'a quote, a bracket or a colon is missing',
  MULTILINE_IMPLICIT_KEY: 'a key without a colon, or wrong indentation',
  MULTIPLE_DOCS: 'a second document begins here; k3s reads the first only',
  TAB_AS_INDENT: 'YAML takes no tabs as indentation',
  UNEXPECTED_TOKEN: 'this is not expected here; a quote, a bracket or a colon may be missing',
  BAD_SCALAR_START: 'a value that begins with this character needs quotes',
  TAG_RESOLVE_FAILED: 'tags (!) are not taken here',
  BAD_DQ_ESCAPE: 'no such escape in double quotes; use single quotes for backslashes',
};

/** Adds the first error of the parser as a finding: what follows it is mostly its consequence. */
export function reportSyntax(
  source: SourceText,
  { code, pos }: Pick<YAMLParseError, 'code' | 'pos'>,
): void {
  const message = MESSAGES[code] ?? 'not valid YAML';
  const at = Math.min(pos[0], Math.max(0, source.text.length - 1));
  source.add({ code: 'yaml', at, message, fatal: true });
}
