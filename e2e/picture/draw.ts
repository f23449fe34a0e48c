import { type Box, COLOURS, type DrawnPanel, drawPanel, type Span } from './panel.ts';
import { element, label } from './svg.ts';

/** A row of the dashboard with its panels. */
export interface DrawnRow {
  readonly title: string;
  readonly panels: readonly DrawnPanel[];
}

const WIDTH = 1_200;
const MARGIN = 10;
const HEAD = 62;
const ROW_TITLE = 34;
/** Sizes of panels, as fractions of the width and in pixels. */
const SIZE = { number: { columns: 4, height: 92 }, graph: { columns: 2, height: 200 } } as const;

const LIGHT = {
  page: '#f4f5f5',
  panel: '#ffffff',
  border: '#dcdde0',
  text: '#24292e',
  note: '#5a6068',
};
const DARK = {
  page: '#111217',
  panel: '#181b1f',
  border: '#2c3036',
  text: '#d8d9dd',
  note: '#9a9da6',
};
/** Colours that differ clearly on light and dark backgrounds. */
const LINES = [
  ['#3f7a2f', '#73bf69'],
  ['#b5820a', '#f2cc0c'],
  ['#1f6fc0', '#5794f2'],
  ['#c2560a', '#ff9830'],
  ['#c4162a', '#f2495c'],
  ['#7b4fb0', '#b877d9'],
  ['#0e8a96', '#5ac8d8'],
  ['#a8327f', '#ff78c5'],
  ['#5d6b24', '#b6c954'],
  ['#6b5545', '#c9a98d'],
] as const;

/** The whole picture. */
export function drawDashboard(
  rows: readonly DrawnRow[],
  { caption, span }: { readonly caption: string; readonly span: Span },
): string {
  const parts: string[] = [];
  let y = HEAD;
  for (const { title, panels } of rows) {
    parts.push(label(MARGIN + 2, y + 22, title, { class: 'row' }));
    y += ROW_TITLE;
    for (const { panel, box } of placed(panels)) {
      parts.push(drawPanel(panel, { ...box, y: y + box.y }, span));
    }
    y += Math.max(...placed(panels).map(({ box }) => box.y + box.height)) + MARGIN;
  }
  const height = y + MARGIN;
  return `${element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      role: 'img',
    },
    element('title', {}, 'The dashboard of Peerglass'),
    element('style', {}, style()),
    element('rect', { class: 'page', width: WIDTH, height }),
    label(MARGIN + 2, 30, 'Peerglass', { class: 'head' }),
    label(MARGIN + 2, 50, caption, { class: 'note' }),
    parts.join('\n'),
  )}\n`;
}

/** Panels from left to right, a new line where one does not fit, as Grafana puts them. */
function placed(panels: readonly DrawnPanel[]): { panel: DrawnPanel; box: Box }[] {
  const inner = WIDTH - MARGIN;
  let [x, y, lineHeight] = [0, 0, 0];
  return panels.map((panel) => {
    const { columns, height } = SIZE[panel.kind];
    const width = inner / columns;
    if (x + width > inner + 1) [x, y] = [0, y + lineHeight + MARGIN];
    const box = { x: MARGIN + x, y, width: width - MARGIN, height };
    x += width;
    lineHeight = height;
    return { panel, box };
  });
}

function style(): string {
  const lines = (theme: 0 | 1): string =>
    Array.from({ length: COLOURS }, (_, index) => {
      const colour = LINES[index]?.[theme] ?? '';
      return `.line.s${index}{stroke:${colour}}.box.s${index}{fill:${colour}}`;
    }).join('');
  const theme = ({ page, panel, border, text, note }: typeof LIGHT): string =>
    `.page{fill:${page}}.panel{fill:${panel};stroke:${border}}.grid{stroke:${border}}text{fill:${text}}.note{fill:${note}}`;
  return [
    'text{font:12px -apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}',
    '.head{font-size:22px;font-weight:600}.row{font-size:16px;font-weight:600}.title{font-weight:600}',
    '.number{font-size:26px;text-anchor:middle}.note{font-size:11px}.middle{text-anchor:middle}.end{text-anchor:end}',
    '.line{fill:none;stroke-width:1.5;stroke-linejoin:round}',
    theme(LIGHT),
    lines(0),
    `@media(prefers-color-scheme:dark){${theme(DARK)}${lines(1)}}`,
  ].join('');
}
