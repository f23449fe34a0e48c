import type { DASHBOARD_ROWS } from '../../scripts/monitoring/panels.ts';

/** The units of panels, as Grafana names them. */
export type Unit = (typeof DASHBOARD_ROWS)[string][number]['unit'];

/** In which multiple of its unit values of a size are written. */
interface Multiple {
  readonly factor: number;
  readonly suffix: string;
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** The multiple that suits a value. */
function multipleFor(unit: Unit, value: number): Multiple {
  const size = Math.abs(value);
  switch (unit) {
    case 'bytes':
    case 'Bps': {
      const power = size < 1 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(size) / 10));
      return {
        factor: 1024 ** power,
        suffix: ` ${BYTES[power] ?? ''}${unit === 'Bps' ? '/s' : ''}`,
      };
    }
    case 's':
      if (size >= 60) return { factor: 60, suffix: ' min' };
      if (size >= 1 || size === 0) return { factor: 1, suffix: ' s' };
      return size >= 0.001 ? { factor: 0.001, suffix: ' ms' } : { factor: 1e-6, suffix: ' µs' };
    case 'percentunit':
      return { factor: 0.01, suffix: ' %' };
    case 'reqps':
      return { factor: 1, suffix: ' req/s' };
    case 'short':
      return size >= 10_000 ? { factor: 1_000, suffix: ' k' } : { factor: 1, suffix: '' };
  }
}

/** A value as a person would write it: three digits, and its unit. */
export function formatValue(unit: Unit, value: number): string {
  const { factor, suffix } = multipleFor(unit, value);
  return `${Number((value / factor).toPrecision(3))}${suffix}`;
}

/** The marks of an axis from 0 on, which end at or above `most`; all in the multiple of the last. */
export function axisMarks(unit: Unit, most: number): { value: number; label: string }[] {
  const top = most > 0 ? most : 1;
  const { factor, suffix } = multipleFor(unit, top);
  const step = niceStep(top / factor / 4);
  const count = Math.max(1, Math.ceil(top / factor / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, index) => ({
    value: index * step * factor,
    label: `${Number((index * step).toPrecision(6))}${suffix}`,
  }));
}

/** The least of 1, 2, 5, 10, … that is not below. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((it) => it * power >= least * (1 - 1e-9)) ?? 10) * power;
}
