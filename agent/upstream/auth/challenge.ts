/** How a registry wants clients to authenticate. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Characters of a header that are read. */
const MAX_LENGTH = 8 * 1024;

/** A scheme, or a parameter with its value. */
const ITEM =
  /[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/y;

/**
 * Parses `WWW-Authenticate`: several challenges in one header or in several, with spaces around parameters. What cannot be
 * read is left out, since registries send realms that are no URLs and schemes that no client knows.
 *
 * @see RFC 9110, section 11.6.1
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const text = (typeof header === 'string' ? header : (header ?? []).join(', ')).slice(
    0,
    MAX_LENGTH,
  );
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  while (at < text.length) {
    ITEM.lastIndex = at;
    const match = ITEM.exec(text);
    if (match === null) {
      at += 1;
      continue;
    }
    at = ITEM.lastIndex;
    const [, name = '', quoted, plain] = match;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
      continue;
    }
    const parameters = challenges.at(-1)?.parameters;
    const key = name.toLowerCase();
    // As for any repeated parameter, the first one counts.
    if (parameters?.has(key) === false) parameters.set(key, value);
  }
  return challenges;
}
