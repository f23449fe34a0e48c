import { isDeepStrictEqual } from 'node:util';

import { parseHostsToml, type HostEntry, type HostsFile } from './hosts-toml.ts';
import { HostsTomlError } from './toml-table.ts';

/** Maximum number of tables of a file that are considered. */
const MAX_TABLES = 100;

/** A line that may begin a table. Strings and lists can contain such lines, so callers parse the result to be sure. */
interface TableStart {
  /** Index in the text of the line, or of the comments directly above it. */
  readonly from: number;
  readonly line: string;
}

/** Finds the lines that may begin a table, in their order. */
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

/** Whether containerd would read `meant` from the text. */
export function parsesAs(text: string, meant: HostsFile): boolean {
  try {
    return isDeepStrictEqual(parseHostsToml(text), meant);
  } catch (error) {
    if (error instanceof HostsTomlError) return false;
    throw error;
  }
}

/** The text of a file without some hosts, and the text of these hosts with the comments above them. */
export interface CutHosts {
  readonly rest: string;
  readonly tables: ReadonlyMap<HostEntry, string>;
}

/**
 * Cuts hosts out of the text of a file.
 *
 * @param file the parsed text
 * @returns undefined when a host is not written as a table of its own
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
  // More tables of the same host, such as its headers, may follow.
  for (const end of ends.slice(named + 1)) {
    const rest = text.slice(0, from) + text.slice(end);
    if (parsesAs(rest, meant)) return { rest, table: text.slice(from, end) };
  }
  return undefined;
}
