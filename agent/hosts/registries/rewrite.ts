/** Syntax of RE2 that JavaScript lacks, and a replacement, so that JavaScript can check the rest of a pattern. */
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

/** Why a pattern is invalid in RE2, which k3s uses; undefined if it is valid. */
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

/** Corrects a replacement for Go: `\1` becomes `$1`, and `$1x`, which would be the group "1x", becomes `${1}x`. */
export function correctReplacement(replacement: string): string {
  return replacement.replace(/\\(\d)/g, '$$$1').replace(/\$(\d+)(?=[A-Za-z_])/g, '$${$1}');
}
