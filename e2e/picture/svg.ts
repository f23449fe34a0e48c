/** An element with its attributes; what is in it is SVG already. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...content: readonly string[]
): string {
  const written = Object.entries(attributes)
    .map(
      ([key, value]) => ` ${key}="${typeof value === 'number' ? rounded(value) : escaped(value)}"`,
    )
    .join('');
  return content.length === 0
    ? `<${name}${written}/>`
    : `<${name}${written}>${content.join('')}</${name}>`;
}

/** A line of text. */
export function label(
  x: number,
  y: number,
  words: string,
  attributes: Readonly<Record<string, string | number>> = {},
): string {
  return element('text', { x, y, ...attributes }, escaped(words));
}

/** About how wide a text is, in pixels: without a browser there is no font to ask. */
export function widthOf(words: string, fontSize: number): number {
  return words.length * fontSize * 0.56;
}

/** Lines through points, with a gap where one is missing. Points on a level line are left out. */
export function linePath(points: readonly (readonly [x: number, y: number] | undefined)[]): string {
  let path = '';
  points.forEach((point, index) => {
    if (point === undefined) return;
    const [before, after] = [points[index - 1], points[index + 1]];
    if (before === undefined) path += `M${rounded(point[0])} ${rounded(point[1])}`;
    else if (
      after === undefined ||
      rounded(before[1]) !== rounded(point[1]) ||
      rounded(after[1]) !== rounded(point[1])
    ) {
      path += `L${rounded(point[0])} ${rounded(point[1])}`;
    }
    // A point alone is a dot.
    if (before === undefined && after === undefined) path += 'h1';
  });
  return path;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Text as it stands in SVG. */
export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
