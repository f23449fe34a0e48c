/** Keys of a registries.yaml, by the level that they belong to. */
export const KEYS = {
  file: ['mirrors', 'configs'],
  mirror: ['endpoint', 'rewrite'],
  config: ['auth', 'tls'],
  auth: ['username', 'password', 'auth', 'identity_token'],
  tls: ['ca_file', 'cert_file', 'key_file', 'insecure_skip_verify'],
} as const;

/** All keys of a registries.yaml, except names of registries and hosts. */
export const ALL_KEYS: readonly string[] = [...new Set(Object.values(KEYS).flat())];

/** Maximum length of a word that is compared, in characters. */
const MAX_WORD = 64;

/** Minimum length of a prefix that counts as an abbreviation, in characters. */
const MIN_PREFIX = 4;

/** Number of insertions, deletions, substitutions and swaps of neighbours that turn one word into another. */
export function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= from.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const change = (rows[i - 1]?.[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      let min = Math.min(change, (rows[i - 1]?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        min = Math.min(min, (rows[i - 2]?.[j - 2] ?? 0) + 1);
      }
      row.push(min);
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? 0;
}

/**
 * The candidate that is most similar to `word`: equal except for case, dashes and underscores, starting with `word`, or at
 * most a third of its letters away. Undefined if none is similar.
 */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  if (word.length === 0 || word.length > MAX_WORD) return undefined;
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');
  const wanted = plain(word);
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    // `user`, `pass`, `insecure`.
    if (wanted.length >= MIN_PREFIX && plain(candidate).startsWith(wanted)) return candidate;
    const maxDistance = Math.max(1, Math.floor(candidate.length / 3));
    if (Math.abs(candidate.length - wanted.length) > maxDistance + 2) continue;
    const distance = editDistance(wanted, plain(candidate));
    if (distance <= maxDistance && distance < bestDistance)
      [best, bestDistance] = [candidate, distance];
  }
  return best;
}
