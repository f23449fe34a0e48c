import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type tls from 'node:tls';

import { requestFrom, requestHere, type NamespaceAnswer } from '../../native/network-namespace.ts';
import { mirrorPositions, urlOf } from '../certs-folder.ts';
import { sharesNamespace } from '../containerd/process.ts';
import type { Facts } from '../facts.ts';
import { hostsRemedy } from '../hosts-remedy.ts';
import { headersOf } from '../mirror-headers.ts';
import { mirrorUrls } from '../mirror-urls.ts';
import { refusalRemedy, statusInWords } from '../network/mirror-refusal.ts';
import { proxyFor, proxySettingsOf } from '../../proxies/proxy-settings.ts';
import { readSmallText } from '../../files/small-file.ts';
import { CheckSkippedError, failure, ok, skipped, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';
import { PORTS_GROUP as GROUP, ROUTER_CHECKS } from './router-checks.ts';

/** Checks of the agent's ports, as containerd and peers see them. */
export const NETWORK_CHECKS: readonly Check<Facts>[] = [
  { id: 'mirror-port', group: GROUP, run: mirrorPort },
  { id: 'mirror-proxy', group: GROUP, run: mirrorProxy },
  ...ROUTER_CHECKS,
];

/** How long the mirror may take to answer `GET /v2/`, in milliseconds. */
const MIRROR_MS = 2_000;
/** Upper bound for the mirrors that are asked. */
const MAX_TARGETS = 8;

async function mirrorPort(facts: Facts, signal: AbortSignal): Promise<CheckResult> {
  const targets = await mirrorTargets(facts);
  if (targets.length === 0) return skipped('no hosts.toml names the mirror: see hosts-file');
  const { from, note } = await containerdNetwork(facts);
  const results = await Promise.all(
    targets.map(async (target) => ({
      origin: target.origin,
      answer: asContainerdSees(target, await ask(from, target, signal)),
    })),
  );
  const silent = results.flatMap(({ origin, answer }) =>
    'error' in answer
      ? [`${origin}: ${answer.error}`]
      : answer.status === 200
        ? whyDistrusted(origin, answer.distrust)
        : [`${origin}: ${statusInWords(answer.status)}`],
  );
  const distrusts = results.some(({ answer }) => 'distrust' in answer);
  const all = results.map(({ origin }) => origin).join(', ');
  if (silent.length === 0) return ok(`${all} answers${note ?? ' in the network of containerd'}`);
  if (note !== undefined && !distrusts) {
    throw new CheckSkippedError(
      `${all} does not answer in the network of doctor, which is no proof:${note}`,
    );
  }
  return failure(
    'hosts.toml names the mirror, but it does not answer in the network of containerd: every pull waits for it, and then goes on to the registry',
    distrusts ? DISTRUST_REMEDY : await silentRemedy(facts, results),
    silent,
  );
}

const DISTRUST_REMEDY =
  'name the authority as ca in hosts.toml (--mirror-target-ca), and the address among the names of the certificate\nopenssl x509 -in tls.crt -noout -ext subjectAltName -issuer -dates';

/** When the agent listens elsewhere, the command that has hosts.toml name that. */
async function silentRemedy(facts: Facts, targets: readonly Asked[]): Promise<string> {
  const refused = await refusalRemedy(
    facts,
    targets.map(({ answer }) => answer),
  );
  if (refused !== undefined) return refused;
  const origins = new Set(targets.map(({ origin }) => origin));
  const isElsewhere = (await mirrorUrls(facts)).some(
    (url) => !origins.has(urlOf(url)?.origin ?? ''),
  );
  if (isElsewhere) return await hostsRemedy(facts);
  const [{ origin } = { origin: 'URL' }] = targets;
  return `is the agent running, and does --registry-addr fit the port of hosts.toml?\nss -ltnp; curl -si ${origin}/v2/`;
}

/** Drops the fault of a certificate that containerd does not verify. */
function asContainerdSees({ verifies }: Target, answer: NamespaceAnswer): NamespaceAnswer {
  if ('error' in answer || verifies) return answer;
  const { status, headers, body } = answer;
  return { status, headers, body };
}

function whyDistrusted(origin: string, reason: string | undefined): string[] {
  return reason === undefined
    ? []
    : [`${origin}: containerd does not accept its certificate (${reason})`];
}

/** A mirror, and what it answered. */
interface Asked {
  readonly origin: string;
  readonly answer: NamespaceAnswer;
}

/** A URL under which containerd knows the mirror. */
interface Target {
  readonly origin: string;
  /** Client certificate and key of containerd there. */
  readonly client?: readonly [certificate: string, key: string];
  /** Authorities that containerd trusts there besides those of the system. */
  readonly ca?: readonly string[];
  /** Headers that containerd sends there: credentials of the mirror. Not for any output. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether containerd verifies the certificate; false when that is not known. */
  readonly verifies: boolean;
}

async function mirrorTargets(facts: Facts): Promise<Target[]> {
  const mark = await facts.mirrorMark();
  const targets = new Map<string, Target>();
  for (const url of mark.targets) addTarget(targets, url, { verifies: false });
  for (const file of await facts.files()) {
    const folder = dirname(file.path);
    for (const position of mirrorPositions(file, mark)) {
      const host = file.hosts?.hosts[position];
      if (host === undefined) continue;
      const [[certificate, key = certificate] = []] = host.client ?? [];
      addTarget(targets, host.url, {
        verifies: host.skipVerify !== true,
        ca: (host.ca ?? []).map((each) => resolve(folder, each)),
        ...(host.header && { headers: headersOf(host.header) }),
        ...(certificate !== undefined &&
          key !== undefined && { client: [resolve(folder, certificate), resolve(folder, key)] }),
      });
    }
  }
  return [...targets.values()].slice(0, MAX_TARGETS);
}

function addTarget(
  targets: Map<string, Target>,
  url: string,
  options: Omit<Target, 'origin'>,
): void {
  const origin = urlOf(url)?.origin;
  if (origin !== undefined) targets.set(origin, { origin, ...options });
}

/** Returns the network namespace of containerd when it is another one, or a note why that cannot be found out. */
async function containerdNetwork(facts: Facts): Promise<{ from?: string; note?: string }> {
  try {
    const { pid } = await facts.process();
    const same = await sharesNamespace(pid, 'net');
    return same === true ? {} : { from: `/proc/${pid}/ns/net` };
  } catch (error) {
    if (!(error instanceof CheckSkippedError)) throw error;
    return { note: ` (in the network of doctor: ${error.message})` };
  }
}

async function ask(
  from: string | undefined,
  { origin, client, headers, ca = [] }: Target,
  signal: AbortSignal,
): Promise<NamespaceAnswer> {
  const [cert, key] = await Promise.all(
    (client ?? []).map((file) => readSmallText(file).catch(() => undefined)),
  );
  const identity = cert === undefined || key === undefined ? {} : { cert, key };
  const authorities = origin.startsWith('https:')
    ? await Promise.all(ca.map((file) => readSmallText(file).catch(() => '')))
    : [];
  const request = {
    url: `${origin}/v2/`,
    method: 'GET',
    timeoutMs: MIRROR_MS,
    ...identity,
    ...(headers && { headers }),
    ...(origin.startsWith('https:') && {
      ca: [...authorities, ...systemAuthorities()].filter((pem) => pem !== ''),
    }),
  } as const;
  if (from === undefined) return await requestHere(request);
  try {
    return await requestFrom(from, request, signal);
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new CheckSkippedError(
      `containerd has a network of its own, and it cannot be entered (${why}); run doctor as root`,
      { cause: error },
    );
  }
}

/** Returns the authorities of the system, which containerd trusts; before Node 22.15, those bundled with Node. */
function systemAuthorities(): readonly string[] {
  const { getCACertificates, rootCertificates } = process.getBuiltinModule('node:tls') as Partial<
    typeof tls
  > &
    Pick<typeof tls, 'rootCertificates'>;
  return getCACertificates?.('system') ?? rootCertificates;
}

/** containerd sends a request to the mirror through a proxy of its environment, unless `NO_PROXY` has the address. */
async function mirrorProxy(facts: Facts): Promise<CheckResult> {
  const targets = await mirrorTargets(facts);
  if (targets.length === 0) return skipped('no hosts.toml names the mirror: see hosts-file');
  const { pid } = await facts.process();
  const settings = proxySettingsOf(await environmentOf(pid));
  const proxied = targets.flatMap(({ origin }) => {
    const proxy = proxyFor(new URL(origin), settings);
    return proxy === undefined ? [] : [{ origin, proxy }];
  });
  if (proxied.length === 0) return ok('containerd asks the mirror without a proxy');
  const hosts = new Set(
    proxied.map(({ origin }) => new URL(origin).hostname.replace(/^\[|\]$/g, '')),
  );
  const noProxy = [settings.noProxy, ...hosts].filter((it) => it !== '').join(',');
  return failure(
    "containerd's environment names a proxy, and its requests to the mirror go there: no pull reaches the mirror",
    `add the address to NO_PROXY of containerd: systemctl edit containerd, with\n[Service]\nEnvironment=NO_PROXY=${noProxy}\nthen systemctl restart containerd`,
    proxied.map(({ origin, proxy }) => `${origin}: through ${proxy}`),
  );
}

/** @throws CheckSkippedError when the environment of the process may not be read */
async function environmentOf(pid: number): Promise<Readonly<Record<string, string>>> {
  try {
    const text = await readFile(`/proc/${pid}/environ`, 'utf8');
    return Object.fromEntries(
      text.split('\0').map((entry) => {
        const at = entry.indexOf('=');
        return [entry.slice(0, Math.max(at, 0)), entry.slice(at + 1)];
      }),
    );
  } catch (error) {
    throw new CheckSkippedError(
      "the environment of containerd's process may be read by root only; run doctor as root",
      { cause: error },
    );
  }
}
