import { isAtLeast, type ContainerdVersion } from './containerd-version.ts';
import type { HostOptions, HostsFile } from './hosts-toml.ts';

/** What a containerd of one version makes of a file that is valid TOML. */
export interface Reading {
  /** Why this version ignores the whole file; absent when it reads it. */
  readonly problem?: string;
  /** URLs of hosts that this version ignores, although it reads the file. */
  readonly ignoredHosts: readonly string[];
}

/** First character of a file that begins with a byte order mark. */
export const BYTE_ORDER_MARK = '\uFEFF';

/** From this version on containerd parses with go-toml v2, before with go-toml v1. */
const GO_TOML_2: ContainerdVersion = [2, 0];
/** The first version that knows the capability `referrers`. */
const REFERRERS: ContainerdVersion = [2, 2];

/** A header of `[host]` or of a table below it. */
const HOST_HEADER = /^\s*\[\s*(?:host|"host"|'host')\s*[.\]]/;
/** The same with the name of the host: a basic, a literal or a bare key. */
const NAMED_HOST =
  /^\s*\[\s*(?:host|"host"|'host')\s*\.\s*(?:("(?:[^"\\]|\\.)*")|'([^']*)'|([\w-]+))\s*[.\]]/;
/** A duration in Go's format. The two characters for micro are escaped, as the bundle is ASCII (scripts/bundle.test.ts). */
const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)$/;

/**
 * Says what the parser of one version of containerd makes of a valid file (`core/remotes/docker/config/hosts.go`).
 *
 * @param file the parsed text
 */
export function readingOf(text: string, file: HostsFile, version: ContainerdVersion): Reading {
  const problem = isAtLeast(version, GO_TOML_2)
    ? problemFrom2(text, file)
    : problemBefore2(text, file);
  if (problem !== undefined) return { problem, ignoredHosts: [] };
  const capabilities = [file.serverOptions ?? {}, ...file.hosts].flatMap((each) =>
    'capabilities' in each ? (each.capabilities ?? []) : [],
  );
  if (capabilities.includes('referrers') && !isAtLeast(version, REFERRERS)) {
    return {
      problem: 'the capability "referrers" needs containerd 2.2 or later',
      ignoredHosts: [],
    };
  }
  return { ignoredHosts: isAtLeast(version, GO_TOML_2) ? withoutTable(text, file) : [] };
}

/** Whether a containerd before 2.0 ignores every file that has a table for this host. */
export function isBracketed(url: string): boolean {
  return /[[\]]/.test(url);
}

/** What to write instead of a host with an IPv6 address in brackets. */
export const INSTEAD_OF_BRACKETS =
  'name it by 127.0.0.1, or by a host name that resolves to the address';

function problemBefore2(text: string, file: HostsFile): string | undefined {
  const lines = text.split('\n');
  // The header of a table ends at its first `]`, and must not have a second `[`, quoted or not.
  const bracketed = lines.findIndex(
    (line) => HOST_HEADER.test(line) && /\[[^\]]*\[/.test(line.replace(/#.*/, '')),
  );
  if (bracketed >= 0) {
    return `line ${bracketed + 1}: containerd before 2.0 takes no IPv6 address in the name of a table; ${INSTEAD_OF_BRACKETS}`;
  }
  const named = file.hosts.length > 0 || lines.some((line) => HOST_HEADER.test(line));
  return named ? undefined : 'containerd before 2.0 ignores a file without a [host."URL"] table';
}

function problemFrom2(text: string, file: HostsFile): string | undefined {
  if (text.startsWith(BYTE_ORDER_MARK)) {
    return 'line 1: the file begins with a byte order mark, which containerd 2.0 and later refuses; save it as UTF-8 without one';
  }
  const all: readonly HostOptions[] = [file.serverOptions ?? {}, ...file.hosts];
  const wrong = all.find(({ dialTimeout = '0' }) => !DURATION.test(dialTimeout))?.dialTimeout;
  if (wrong === undefined) return undefined;
  const line = text.split('\n').findIndex((each) => each.includes('dial_timeout'));
  return `line ${line + 1}: dial_timeout "${wrong}" is no duration; write for example 2s`;
}

/** From 2.0 on only the headers of tables count: `[host."URL"]`. */
function withoutTable(text: string, { hosts }: HostsFile): string[] {
  const named = new Set(text.split('\n').map(hostOfHeader));
  return hosts.map(({ url }) => url).filter((url) => !named.has(url));
}

function hostOfHeader(line: string): string | undefined {
  const [, basic, literal, bare] = NAMED_HOST.exec(line) ?? [];
  if (basic === undefined) return literal ?? bare;
  try {
    return String(JSON.parse(basic));
  } catch {
    return basic.slice(1, -1);
  }
}
