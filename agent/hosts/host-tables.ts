import { isDeepStrictEqual } from 'node:util';

import { parseHostsToml, type HostEntry, type HostsFile } from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';

/** Tables of a file that are looked at, at most. */
const MAX_TABLES = 100;

/** A line that may begin a table. Within strings and lists there are such lines too: the reader of the result tells. */
interface TableStart {
  /** Index of the line, or of the comments above it. */
  readonly from: number;
  /** The line. */
  readonly line: string;
}

/** The first lines of a file that may begin a table. */
export function tablesOf(text: string): TableStart[] {
  const found: TableStart[] = [];
  let offset = 0;
  let comments: number | undefined;
  for (const line of text.split(/(?<=\n)/)) {
    if (/^\s*\[/.test(line)) {
      found.push({ from: comments ?? offset, line });
      if (found.length >= MAX_TABLES) break;
    }
    comments = /^\s*#/.test(line) ? (comments ?? offset) : undefined;
    offset += line.length;
  }
  return found;
}

/** Whether containerd takes the text as that. */
export function means(text: string, meant: HostsFile): boolean {
  try {
    return isDeepStrictEqual(parseHostsToml(text), meant);
  } catch (error) {
    if (error instanceof HostsTomlError) return false;
    throw error;
  }
}

/** A file without some of its hosts, and the text of these with the comments above them. */
export interface CutHosts {
  readonly rest: string;
  readonly tables: ReadonlyMap<HostEntry, string>;
}

/**
 * Takes hosts out of the text of a file.
 *
 * @param file what the text means
 * @returns undefined when one is not written as a table of its own
 */
export function cutHosts(
  text: string,
  file: HostsFile,
  hosts: readonly HostEntry[],
): CutHosts | undefined {
  const tables = new Map<HostEntry, string>();
  let rest = text;
  for (const host of hosts) {
    const left = file.hosts.filter((each) => each !== host && !tables.has(each));
    const cut = cutHost(rest, host.url, { ...file, hosts: left });
    if (cut === undefined) return undefined;
    tables.set(host, cut.table);
    rest = cut.rest;
  }
  return { rest, tables };
}

function cutHost(
  text: string,
  url: string,
  meant: HostsFile,
): { rest: string; table: string } | undefined {
  const starts = tablesOf(text);
  const ends = [...starts.map(({ from }) => from), text.length];
  const named = starts.findIndex(
    ({ line }) => line.includes(`${url}"`) || line.includes(`${url}'`),
  );
  const from = starts[named]?.from;
  if (from === undefined) return undefined;
  // Further tables of the host, its headers, may follow.
  for (const end of ends.slice(named + 1)) {
    const rest = text.slice(0, from) + text.slice(end);
    if (means(rest, meant)) return { rest, table: text.slice(from, end) };
  }
  return undefined;
}
