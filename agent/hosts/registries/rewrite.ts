/** What RE2 has and JavaScript writes otherwise or not at all, so that the rest can be checked by JavaScript. */
const RE2_ONLY: readonly (readonly [RegExp, string])[] = [
  [/^\(\?[imsU]+\)/, ''],
  [/\(\?[imsU]+:/g, '(?:'],
  [/\(\?P</g, '(?<'],
  [/\\z/g, '$'],
  [/\\A/g, '^'],
  [/\\Q.*?\\E/g, ''],
  [/\[\[:\^?[a-z]+:\]\]/g, '[a]'],
  [/\\p\{[^}]*\}|\\pN?L?/gi, 'a'],
];

/** Why RE2, in which k3s reads patterns, does not take this one; undefined when it does. */
export function patternProblem(pattern: string): string | undefined {
  if (/\(\?<?[=!]/.test(pattern))
    return 'RE2, which k3s uses, has no look-ahead and no look-behind';
  if (/(?<!\\)(?:\\\\)*\\[1-9]/.test(pattern)) return 'RE2, which k3s uses, has no back-references';
  let text = pattern;
  for (const [from, to] of RE2_ONLY) text = text.replace(from, to);
  try {
    new RegExp(text);
    return undefined;
  } catch (error) {
    // "Invalid regular expression: /PATTERN/: REASON"
    const reason = error instanceof Error ? /[^:]*$/.exec(error.message)?.[0].trim() : undefined;
    return reason === undefined || reason === '' ? 'not well-formed' : reason;
  }
}

/** The replacement as Go understands what was meant: `\1` is `$1`, and `$1x` would be the group "1x". */
export function mendReplacement(replacement: string): string {
  return replacement.replace(/\\(\d)/g, '$$$1').replace(/\$(\d+)(?=[A-Za-z_])/g, '$${$1}');
}
