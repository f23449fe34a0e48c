import type { Rewrite } from '../../hosts/registries/registries.ts';

/** Rewrites of an endpoint, ready to use. */
export interface CompiledRewrites {
  /** The repository as the endpoint calls it: the first rule that changes it counts, as in k3s. */
  readonly apply: (repository: string) => string;
  /** Patterns that cannot be used here, for a warning. */
  readonly unusable: readonly string[];
}

/** Classes of RE2 that JavaScript lacks. */
const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
};

const RE2_SYNTAX = /\\Q([\s\S]*?)(?:\\E|$)|\\[\s\S]|\(\?P<|\[:(\^?\w+):\]/g;

/** Compiles the `rewrite` rules of registries.yaml, which are in the syntax of Go. */
export function compileRewrites(rewrites: readonly Rewrite[]): CompiledRewrites {
  const unusable: string[] = [];
  const rules = rewrites.flatMap(({ pattern, replacement }) => {
    const regex = compile(pattern);
    if (regex !== undefined) return [{ regex, replacement }];
    unusable.push(pattern);
    return [];
  });
  const apply = (repository: string): string => {
    for (const { regex, replacement } of rules) {
      const rewritten = repository.replaceAll(regex, (...match: unknown[]) =>
        expand(replacement, match),
      );
      if (rewritten !== repository) return rewritten;
    }
    return repository;
  };
  return { apply, unusable };
}

function compile(pattern: string): RegExp | undefined {
  const [, flags = '', rest = pattern] = /^\(\?([ims]+)\)([\s\S]*)$/.exec(pattern) ?? [];
  const unknown: string[] = [];
  const text = rest.replace(RE2_SYNTAX, (part: string, quoted?: string, posix?: string) => {
    if (quoted !== undefined) return RegExp.escape(quoted);
    if (part === '(?P<') return '(?<';
    if (part === String.raw`\A`) return '^';
    if (part === String.raw`\z`) return '$';
    const known = posix === undefined ? undefined : POSIX[posix];
    // Classes of Unicode, and those that are negated, have no counterpart.
    if (known === undefined && /^(?:\[:|\\[pPC]$)/.test(part)) unknown.push(part);
    return known ?? part;
  });
  try {
    return unknown.length === 0 ? new RegExp(text, `g${[...new Set(flags)].join('')}`) : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces `$1`, `${1}` and `${name}` as Go does: `$1x` is the group "1x", and a group that is not there is empty. */
function expand(replacement: string, match: readonly unknown[]): string {
  const last = match.at(-1);
  const named = typeof last === 'object' && last !== null ? (last as Record<string, unknown>) : {};
  // Behind the groups come the offset, the text, and the named groups if there are any.
  const groups = match.slice(
    0,
    match.findIndex((it) => typeof it === 'number'),
  );
  return replacement.replace(
    /\$(?:\$|(\w+)|\{(\w+)\})/g,
    (text: string, plain?: string, braced?: string) => {
      const name = plain ?? braced;
      if (name === undefined) return text === '$$' ? '$' : text;
      const value = /^\d+$/.test(name) ? groups[Number(name)] : named[name];
      return typeof value === 'string' ? value : '';
    },
  );
}
