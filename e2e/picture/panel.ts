import { element, label, linePath, widthOf } from './svg.ts';
import { axisMarks, formatValue, type Unit } from './units.ts';

/** What Prometheus answered for one series; times and values in seconds and the unit of the panel. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [time: number, value: number])[];
}

/** A panel with its answers. */
export interface DrawnPanel {
  readonly title: string;
  readonly kind: 'number' | 'graph';
  readonly unit: Unit;
  readonly series: readonly Series[];
}

/** Where something is drawn, in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The time that all graphs show, in seconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Colours of the style sheet, `s0` to `s9`. */
export const COLOURS = 10;
const SMALL = 11;
const LEGEND_LINES = 2;
const LEGEND_LINE = 15;
/** Between two marks of the time, in seconds. */
const TIME_STEP = 30;

/**
 * One panel as SVG.
 *
 * @throws Error when it has nothing to show
 */
export function drawPanel(panel: DrawnPanel, box: Box, span: Span): string {
  const shown = panel.series.filter(({ points }) =>
    points.some(([, value]) => Number.isFinite(value)),
  );
  if (shown.length === 0) throw new Error(`nothing to draw: ${panel.title}`);
  return element(
    'g',
    { transform: `translate(${box.x} ${box.y})` },
    element('rect', { class: 'panel', width: box.width, height: box.height, rx: 3 }),
    label(10, 19, panel.title, { class: 'title' }),
    panel.kind === 'number'
      ? drawNumbers({ ...panel, series: shown }, box)
      : drawGraph({ ...panel, series: shown }, box, span),
  );
}

function drawNumbers({ unit, series }: DrawnPanel, { width, height }: Box): string {
  const each = width / series.length;
  return series
    .map(({ name, points }, index) => {
      const x = each * (index + 0.5);
      const value = formatValue(unit, points.at(-1)?.[1] ?? Number.NaN);
      return [
        label(x, height - 30, value, { class: 'number' }),
        label(x, height - 10, name, { class: 'note middle' }),
      ].join('');
    })
    .join('');
}

function drawGraph({ unit, series }: DrawnPanel, { width, height }: Box, span: Span): string {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const marks = axisMarks(unit, Math.max(...values.filter(Number.isFinite)));
  const top = marks.at(-1)?.value ?? 1;
  const left = 16 + Math.max(...marks.map((mark) => widthOf(mark.label, SMALL)));
  const plot = {
    left,
    right: width - 14,
    top: 32,
    bottom: height - 24 - LEGEND_LINES * LEGEND_LINE,
  };
  const xOf = (time: number): number =>
    plot.left + ((time - span.from) / (span.to - span.from)) * (plot.right - plot.left);
  const yOf = (value: number): number => plot.bottom - (value / top) * (plot.bottom - plot.top);

  // The largest first: they get the legend when not all of them fit.
  const sorted = [...series].sort((a, b) => mostOf(b) - mostOf(a));
  return [
    ...marks.map(({ value, label: words }) => {
      const y = yOf(value);
      const line = `M${plot.left} ${Math.round(y)}H${plot.right}`;
      return (
        element('path', { class: 'grid', d: line }) +
        label(plot.left - 6, y + 4, words, { class: 'note end' })
      );
    }),
    ...timeMarks(span).map((seconds) => {
      // The first would stand below the marks of the axis otherwise, and the last beyond the panel.
      const anchor =
        seconds === 0 ? 'note' : seconds + span.from < span.to ? 'note middle' : 'note end';
      return label(xOf(span.from + seconds), plot.bottom + 14, clock(seconds), { class: anchor });
    }),
    ...sorted.map(({ points }, index) =>
      element('path', {
        class: `line s${index % COLOURS}`,
        d: linePath(
          points.map(([time, value]) =>
            Number.isFinite(value) ? [xOf(time), yOf(value)] : undefined,
          ),
        ),
      }),
    ),
    drawLegend(sorted, { x: 10, y: height - LEGEND_LINES * LEGEND_LINE - 4, width: width - 20 }),
  ].join('');
}

function mostOf({ points }: Series): number {
  return Math.max(...points.map(([, value]) => value).filter(Number.isFinite));
}

function timeMarks({ from, to }: Span): number[] {
  const count = Math.floor((to - from) / TIME_STEP);
  return Array.from({ length: count }, (_, index) => index * TIME_STEP).concat(count * TIME_STEP);
}

/** Minutes and seconds since the beginning. */
function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function drawLegend(
  series: readonly Series[],
  { x, y, width }: { readonly x: number; readonly y: number; readonly width: number },
): string {
  const entries: string[] = [];
  const moreWidth = 60;
  let [column, line] = [0, 0];
  for (const [index, { name }] of series.entries()) {
    const entryWidth = 26 + widthOf(name, SMALL);
    const isLast = index === series.length - 1;
    const room = width - (line === LEGEND_LINES - 1 && !isLast ? moreWidth : 0);
    if (column > 0 && column + entryWidth > room) {
      if (line === LEGEND_LINES - 1) {
        entries.push(
          label(x + column, y + line * LEGEND_LINE + 9, `+ ${series.length - index} more`, {
            class: 'note',
          }),
        );
        break;
      }
      [column, line] = [0, line + 1];
    }
    const at = { x: x + column, y: y + line * LEGEND_LINE };
    entries.push(
      element('rect', {
        class: `box s${index % COLOURS}`,
        x: at.x,
        y: at.y + 3,
        width: 12,
        height: 4,
      }),
      label(at.x + 16, at.y + 9, name, { class: 'note' }),
    );
    column += entryWidth;
  }
  return entries.join('');
}
