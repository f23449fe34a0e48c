/** Words of PromQL that look like names of metrics. */
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/**
 * The metrics in an expression of PromQL. A series of a histogram counts as the histogram.
 *
 * @param isHistogram whether a metric is a histogram, so that `x_count` is a series of `x`
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
