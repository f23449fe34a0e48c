import { element, label, linePath, widthOf } from '../../picture/svg.ts';
import { axisMarks } from '../../picture/units.ts';
import type { PlacedRun } from './report.ts';

const WIDTH = 560;
const HEIGHT = 280;
const COLUMNS = 2;
const MARGIN = 10;
const HEAD = 40;
/** Of the plot in its panel. */
const PLOT = { left: 52, right: WIDTH - 16, top: 34, bottom: HEIGHT - 52 } as const;
/** They differ clearly on light and dark backgrounds. */
const COLOURS = ['#5d6b24', '#c4162a', '#b5820a', '#1f6fc0', '#3f9a2f', '#7b4fb0'] as const;
const STYLE = [
  'text{font:12px -apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#24292e}',
  '.page{fill:#f4f5f5}.panel{fill:#fff;stroke:#dcdde0}.grid{stroke:#dcdde0}',
  '.title{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}',
  '.line{fill:none;stroke-width:2;stroke-linejoin:round}',
  '@media(prefers-color-scheme:dark){text{fill:#d8d9dd}.page{fill:#111217}',
  '.panel{fill:#181b1f;stroke:#2c3036}.grid{stroke:#2c3036}}',
].join('');

/** The share of nodes that have the image, over the time since the first node began: a panel for each image and kind of links. */
export function drawCurves(runs: readonly PlacedRun[], caption: string): string {
  const panels = [...Map.groupBy(runs, ({ links, image }) => `${image}, ${links}`)];
  const rows = Math.ceil(panels.length / COLUMNS);
  const columns = Math.min(COLUMNS, panels.length);
  const [width, height] = [MARGIN + columns * (WIDTH + MARGIN), HEAD + rows * (HEIGHT + MARGIN)];
  return `${element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height },
    element('title', {}, 'A fresh image on all nodes at once'),
    element('style', {}, STYLE),
    element('rect', { class: 'page', width, height }),
    label(MARGIN, 26, caption),
    ...panels.map(([title, ofPanel], index) => {
      const x = MARGIN + (index % COLUMNS) * (WIDTH + MARGIN);
      const y = HEAD + Math.floor(index / COLUMNS) * (HEIGHT + MARGIN);
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
    ...cases.map(({ steps }, index) => {
      const points = [[0, 0] as const, ...steps].map(
        ([seconds, share]) => [xOf(seconds), yOf(share)] as const,
      );
      return element('path', { class: 'line', stroke: colour(index), d: linePath(points) });
    }),
    drawLegend(cases.map(({ name }) => name)),
  ].join('');
}

function drawLegend(names: readonly string[]): string {
  let x = PLOT.left;
  return names
    .map((name, index) => {
      const at = x;
      x += 34 + widthOf(name, 12);
      return (
        element('rect', { x: at, y: HEIGHT - 20, width: 12, height: 4, fill: colour(index) }) +
        label(at + 16, HEIGHT - 14, name)
      );
    })
    .join('');
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? '';
}
