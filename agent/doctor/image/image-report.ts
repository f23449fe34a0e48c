import { parseDigest } from '../../oci/digest.ts';

/** A node that content routing names as a holder, with its answer. */
export interface Holder {
  readonly peerId: string;
  /** Base URL of its mirror. */
  readonly origin: string;
  /** `has it`, `does not have it`, `busy`, or why it does not answer. */
  readonly answer: string;
}

/** One part of an image, its tag or a descriptor: which nodes have it, and which node would serve it. */
export interface ImagePart {
  readonly kind: 'tag' | 'index' | 'manifest' | 'config' | 'layer';
  /** The full name of a tag, or a digest. */
  readonly key: string;
  /** In bytes; absent when unknown. */
  readonly size?: number;
  /** Whether containerd of this node has it; absent when unknown. */
  readonly here?: boolean;
  readonly holders: readonly Holder[];
  /** `local`, or the mirror of a peer; absent when containerd would ask the registry. */
  readonly servedBy?: string;
  /** Why it is not served. */
  readonly why?: string;
  /** Whether the registry is asked because `--share` wants that, which is no failure. Absent: no. */
  readonly isForRegistry?: boolean;
}

/** The output of `doctor --image --output json`; as stable as {@link Report}. */
export interface ImageReport {
  readonly schema: 1;
  readonly version: string;
  /** The full name of the image. */
  readonly image: string;
  /** `failure` when a part would come from the registry, or when containerd does not ask the mirror. */
  readonly result: 'ok' | 'failure';
  /** One sentence. */
  readonly reason: string;
  readonly parts: readonly ImagePart[];
  /** Facts that are missing from the report, each with the reason. */
  readonly notes: readonly string[];
}

/** Renders the report as a table for people. */
export function renderImage(report: ImageReport): string {
  const head = ['what', 'digest', 'size', 'here', 'peers', 'served by', 'why not'];
  const rows = report.parts.map((part) => [
    part.kind,
    shortKey(part.key),
    part.size === undefined ? '' : sizeOf(part.size),
    part.here === undefined ? '?' : part.here ? 'yes' : 'no',
    peersOf(part.holders),
    part.servedBy ?? '-',
    part.why ?? '',
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = [head, ...rows].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
  const notServing = report.parts.flatMap(({ key, holders }) =>
    holders
      .filter(({ answer }) => answer !== HAS_IT)
      .map(({ origin, answer }) => `  ${origin}, ${shortKey(key)}: ${answer}`),
  );
  return [
    report.image,
    '',
    ...(report.parts.length > 0 ? [...lines, ''] : []),
    ...(notServing.length > 0 ? ['named as holders, but not serving:', ...notServing, ''] : []),
    ...report.notes.map((note) => `note: ${note}`),
    report.reason,
    '',
  ].join('\n');
}

/** A digest is cut off after twelve digits. Of the full name of a tag, which the report begins with, the tag remains. */
function shortKey(key: string): string {
  return parseDigest(key) === undefined ? (key.split(':').at(-1) ?? key) : key.slice(0, 19);
}

/** The answer of a holder that serves the content. */
export const HAS_IT = 'has it';

function peersOf(holders: readonly Holder[]): string {
  if (holders.length === 0) return '0';
  const serving = holders.filter(({ answer }) => answer === HAS_IT).length;
  return serving === holders.length ? String(serving) : `${serving} of ${holders.length}`;
}

function sizeOf(bytes: number): string {
  if (bytes < 10_240) return `${bytes} B`;
  if (bytes < 10 * 1024 * 1024) return `${Math.round(bytes / 1024)} KiB`;
  return `${Math.round(bytes / (1024 * 1024))} MiB`;
}
