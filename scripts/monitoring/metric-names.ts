/** Words of PromQL that stand where a metric could. */
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/**
 * The metrics that an expression of PromQL asks for. Series of histograms count as the histogram.
 *
 * @param isHistogram tells `x_count` of a histogram from a metric of that name
 */
export function metricNames(expr: string, isHistogram: (name: string) => boolean): Set<string> {
  const bare = expr
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  const names = new Set<string>();
  for (const [name] of bare.matchAll(/(?<![\w.:])[a-zA-Z_:][\w:]*\b(?!\s*\()/g)) {
    if (WORDS.has(name.toLowerCase())) continue;
    const histogram = name.replace(/_(bucket|sum|count)$/, '');
    names.add(isHistogram(histogram) ? histogram : name);
  }
  return names;
}
