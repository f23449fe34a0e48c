import { isBracketed } from '../hosts/containerd-dialect.ts';
import { isAtLeast } from '../hosts/containerd-version.ts';
import { requestHere } from '../native/network-namespace.ts';
import { mirrorPositions, urlOf } from './certs-folder.ts';
import type { Facts } from './facts.ts';
import { settingsOf } from './image/settings.ts';

/** What remedies name when nothing else is known: the default of `--registry-addr`. */
const DEFAULT_URL = 'http://127.0.0.1:5000';
/** Upper bound for the mirrors that are asked. */
const MAX_URLS = 8;
/** How long a mirror may take to answer, in milliseconds. */
const TIMEOUT_MS = 1_000;

/**
 * Finds the URLs under which containerd on this node reaches the mirror, for remedies: those of the options, else those
 * that the files name and that lead to the agent, else where the agent says that it listens.
 */
export async function mirrorUrls(facts: Facts): Promise<readonly string[]> {
  const urls = await reachableUrls(facts);
  const version = await facts.containerdVersion();
  if (version === undefined || isAtLeast(version, [2, 0])) return urls;
  // `configuration` would refuse an IPv6 address, which this containerd cannot read.
  const readable = urls.filter((url) => !isBracketed(url));
  return readable.length > 0 ? readable : [...new Set(urls.map(onLoopback))];
}

function onLoopback(text: string): string {
  const url = urlOf(text);
  return url === undefined ? DEFAULT_URL : text.replace(url.hostname, '127.0.0.1');
}

async function reachableUrls(facts: Facts): Promise<readonly string[]> {
  const { mirrorTargets } = facts.init;
  if (mirrorTargets.length > 0) return mirrorTargets;
  const named = await namedUrls(facts);
  const status = await facts.status().catch(() => undefined);
  if (status === undefined) return named.length > 0 ? named : [DEFAULT_URL];
  const { mirrorPort, mirrorHost, registryTls } = settingsOf(status);
  const leads = await Promise.all(
    named.map(async (url) => urlOf(url)?.port === String(mirrorPort) || (await answers(url))),
  );
  const reachable = named.filter((_, index) => leads[index]);
  if (reachable.length > 0) return reachable;
  const host = mirrorHost === '' ? '127.0.0.1' : mirrorHost;
  const name = host.includes(':') ? `[${host}]` : host;
  return [`${registryTls === true ? 'https' : 'http'}://${name}:${mirrorPort}`];
}

async function namedUrls(facts: Facts): Promise<string[]> {
  const files = await facts.files().catch(() => []);
  const mark = await facts.mirrorMark();
  const urls = files.flatMap((file) =>
    mirrorPositions(file, mark).map((position) => file.hosts?.hosts[position]?.url ?? ''),
  );
  return [...new Set(urls)].filter((url) => url !== '').slice(0, MAX_URLS);
}

async function answers(url: string): Promise<boolean> {
  const origin = urlOf(url)?.origin;
  if (origin === undefined) return false;
  const request = { url: `${origin}/v2/`, method: 'GET', timeoutMs: TIMEOUT_MS } as const;
  const answer = await requestHere(request);
  // 401: it wants credentials, which is an answer of a mirror as well.
  return !('error' in answer) && [200, 401].includes(answer.status);
}
