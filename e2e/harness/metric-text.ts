/**
 * The sum of a metric's samples, in Prometheus' text format, whose labels include all of these; 0 when there is none.
 */
export function sumOfSamples(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match?.[1] !== name) continue;
    const present = `,${match[2] ?? ''},`;
    const fits = Object.entries(labels).every(([key, it]) => present.includes(`,${key}="${it}",`));
    if (fits) sum += Number(match[3]);
  }
  return sum;
}
