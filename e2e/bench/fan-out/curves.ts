import { element, label, linePath, widthOf } from '../../picture/svg.ts';
import { axisMarks } from '../../picture/units.ts';
import type { CaseName } from './options.ts';
import type { PlacedRun } from './report.ts';

/** Two panels beside each other are as wide as a page of documentation, so that the text keeps its size there. */
const WIDTH = 410;
const HEIGHT = 230;
const COLUMNS = 2;
const MARGIN = 10;
/** Of the caption, and of a line of the legend below it. */
const CAPTION = 32;
const LEGEND = 24;
/** Of the plot in its panel. */
const PLOT = { left: 52, right: WIDTH - 20, top: 36, bottom: HEIGHT - 30 } as const;
/** A case as people call it, and its colour on light and dark backgrounds. */
const LINES: Readonly<Record<CaseName, readonly [name: string, light: string, dark: string]>> = {
  alone: ['one node alone', '#5c6470', '#a3a8b0'],
  lone: ['one node with an agent', '#8a5a00', '#e0a63c'],
  members: ['one node of several', '#0b7285', '#4fc3d9'],
  straight: ['each from upstream', '#c4162a', '#ff7383'],
  cache: ['pull-through cache', '#7b4fb0', '#c39bea'],
  off: ['without fan-out', '#b5820a', '#f2c14e'],
  on: ['Peerglass', '#1f6fc0', '#6cb2ff'],
  held: ['held by one node', '#2f7d6b', '#7fd6c0'],
  mixed: ['half without it', '#3f9a2f', '#8fd67f'],
  upstream: ['with --upstream', '#a02c7d', '#e58cc9'],
};
const STYLE = [
  'text{font:12px -apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#24292e}',
  '.page{fill:#f4f5f5}.panel{fill:#fff;stroke:#dcdde0}.grid{stroke:#dcdde0}',
  '.title{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}',
  '.line{fill:none;stroke-width:2;stroke-linejoin:round}.alone{stroke-dasharray:4 3}',
  ...Object.entries(LINES).map(([name, [, light]]) => `.${name}{stroke:${light}}`),
  '@media(prefers-color-scheme:dark){text{fill:#d8d9dd}.page{fill:#111217}',
  '.panel{fill:#181b1f;stroke:#2c3036}.grid{stroke:#2c3036}',
  ...Object.entries(LINES).map(([name, [, , dark]]) => `.${name}{stroke:${dark}}`),
  '}',
].join('');

/** The share of nodes that have the image, over the time since the first node began: a panel for each image and kind of links. */
export function drawCurves(runs: readonly PlacedRun[], caption: string): string {
  const panels = [...Map.groupBy(runs, ({ links, image }) => `${image}, ${links} Mbit/s`)];
  const rows = Math.ceil(panels.length / COLUMNS);
  const columns = Math.min(COLUMNS, panels.length);
  const width = MARGIN + columns * (WIDTH + MARGIN);
  const legend = drawLegend([...new Set(runs.map(({ name }) => name))], width);
  const head = CAPTION + legend.length * LEGEND + MARGIN / 2;
  const height = head + rows * (HEIGHT + MARGIN);
  return `${element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height },
    element('title', {}, 'A fresh image on all nodes at once'),
    element('style', {}, STYLE),
    element('rect', { class: 'page', width, height }),
    label(MARGIN, 22, caption),
    ...legend,
    ...panels.map(([title, ofPanel], index) => {
      const x = MARGIN + (index % COLUMNS) * (WIDTH + MARGIN);
      const y = head + Math.floor(index / COLUMNS) * (HEIGHT + MARGIN);
      return element('g', { transform: `translate(${x} ${y})` }, drawPanel(title, ofPanel));
    }),
  )}\n`;
}

/** Steps of the share of all nodes of the runs that have the image, as times in seconds and shares. */
export function completionSteps(
  runs: readonly Pick<PlacedRun, 'outcomes'>[],
): (readonly [seconds: number, share: number])[] {
  const nodes = runs.flatMap(({ outcomes }) => outcomes);
  const times = nodes.flatMap(({ held }) => held ?? []).sort((one, other) => one - other);
  return times.flatMap((held, index) => [
    [held / 1000, index / nodes.length] as const,
    [held / 1000, (index + 1) / nodes.length] as const,
  ]);
}

function drawPanel(title: string, runs: readonly PlacedRun[]): string {
  const cases = [...Map.groupBy(runs, ({ name }) => name)].map(([name, ofCase]) => {
    return { name, steps: completionSteps(ofCase) };
  });
  const longest = Math.max(...cases.map(({ steps }) => steps.at(-1)?.[0] ?? 0));
  const marks = axisMarks('s', longest);
  const end = marks.at(-1)?.value ?? 1;
  const xOf = (seconds: number): number => PLOT.left + (seconds / end) * (PLOT.right - PLOT.left);
  const yOf = (share: number): number => PLOT.bottom - share * (PLOT.bottom - PLOT.top);
  return [
    element('rect', { class: 'panel', width: WIDTH, height: HEIGHT, rx: 3 }),
    label(10, 20, title, { class: 'title' }),
    ...[0, 0.25, 0.5, 0.75, 1].map(
      (share) =>
        element('path', { class: 'grid', d: `M${PLOT.left} ${yOf(share)}H${PLOT.right}` }) +
        label(PLOT.left - 6, yOf(share) + 4, `${share * 100} %`, { class: 'end' }),
    ),
    ...marks.map(({ value, label: words }) =>
      label(xOf(value), PLOT.bottom + 18, words, { class: 'middle' }),
    ),
    ...cases.map(({ name, steps }) => {
      const points = [[0, 0] as const, ...steps].map(
        ([seconds, share]) => [xOf(seconds), yOf(share)] as const,
      );
      return element('path', { class: `line ${name}`, d: linePath(points) });
    }),
  ].join('');
}

/** One for all panels: its lines, as wide as the picture. */
function drawLegend(names: readonly CaseName[], width: number): string[] {
  const lines: string[][] = [[]];
  let x = MARGIN;
  for (const name of names) {
    const [words] = LINES[name];
    const wide = 28 + widthOf(words, 12);
    if (x + wide > width) {
      lines.push([]);
      x = MARGIN;
    }
    const y = CAPTION + (lines.length - 1) * LEGEND + 14;
    const line = element('path', { class: `line ${name}`, d: `M${x} ${y - 4}h20` });
    lines.at(-1)?.push(line, label(x + 26, y, words));
    x += wide + 14;
  }
  return lines.map((line) => line.join(''));
}
