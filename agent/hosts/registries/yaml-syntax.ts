import { Lexer, parseDocument, type Document, type YAMLParseError } from 'yaml';

import type { SourceText } from './source-text.ts';

/** Maximum depth of nesting. The format needs 5. */
const MAX_DEPTH = 32;
/** Maximum number of tokens of a file: enough for 10,000 registries with their settings. */
const MAX_TOKENS = 200_000;
/** Maximum indentation, in columns. */
const MAX_INDENT = 256;

/**
 * Refuses text that would cost the parser much time or stack.
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
    if (!CONTROL.has(token)) at += token.length;
  }
  return source.findings.length === 0;
}

/** The token that the lexer puts before each plain and block scalar. */
const SCALAR = '\u001f';
/** Tokens without text: start of a document, error in a flow, start of a scalar. */
const CONTROL: ReadonlySet<string> = new Set(['\u0002', '\u0018', SCALAR]);

/** Whether the line is a key that begins with an unquoted star, which YAML reads as an alias. */
export function isUnquotedStar(line: string): boolean {
  return /^\s*\*[^\s"']*\s*:(?:\s|$)/.test(line) && !/^\s*\*[^\s:]+\s/.test(line);
}

/** Parses the text. The parser does not compare keys, because its comparison takes quadratic time. */
export function parseYaml(text: string): Document.Parsed {
  return parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
  });
}

/** Messages by code of the parser, whose own messages quote the text and may contain credentials. */
const MESSAGES: Partial<Record<YAMLParseError['code'], string>> = {
  BAD_INDENT: 'the indentation matches no line above',
  BLOCK_AS_IMPLICIT_KEY: 'the indentation matches no line above, or a value with ": " needs quotes',
  BLOCK_IN_FLOW: 'a list or map in block style cannot be within brackets',
  MISSING_CHAR: 'a quote, a bracket or a colon is missing',
  MULTILINE_IMPLICIT_KEY: 'a key without a colon, or wrong indentation',
  MULTIPLE_DOCS: 'a second document begins here; k3s reads only the first',
  TAB_AS_INDENT: 'YAML does not allow tabs in the indentation',
  UNEXPECTED_TOKEN: 'this is not expected here; a quote, a bracket or a colon may be missing',
  BAD_SCALAR_START: 'a value that begins with this character needs quotes',
  TAG_RESOLVE_FAILED: 'tags (!) are not allowed here',
  BAD_DQ_ESCAPE: 'unknown escape in double quotes; use single quotes for backslashes',
};

/** Adds the first error of the parser as a finding. Later errors are mostly consequences of it. */
export function reportSyntax(
  source: SourceText,
  { code, pos }: Pick<YAMLParseError, 'code' | 'pos'>,
): void {
  const message = MESSAGES[code] ?? 'not valid YAML';
  const at = Math.min(pos[0], Math.max(0, source.text.length - 1));
  source.add({ code: 'yaml', at, message, fatal: true });
}
