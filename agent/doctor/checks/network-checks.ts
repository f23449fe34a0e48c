import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type tls from 'node:tls';

import { requestFrom, requestHere, type NamespaceAnswer } from '../../native/network-namespace.ts';
import { mirrorPositions, urlOf } from '../certs-folder.ts';
import { sharesNamespace } from '../containerd/process.ts';
import type { Facts } from '../facts.ts';
import { at } from '../json.ts';
import { isEmbeddedRegistryOn } from '../k3s-config.ts';
import { listenersAt, ownerOf } from '../network/listeners.ts';
import { readRegularFile } from '../regular-file.ts';
import { CheckSkippedError, failure, ok, skipped, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'ports of this node';

/** Checks of the agent's ports, as containerd and peers see them. */
export const NETWORK_CHECKS: readonly Check<Facts>[] = [
  { id: 'mirror-port', group: GROUP, run: mirrorPort },
  { id: 'router-port', group: GROUP, run: routerPort },
  { id: 'embedded-mirror', group: GROUP, run: embeddedMirror },
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
        : [`${origin}: answers ${answer.status}, which our mirror does not`],
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
    distrusts
      ? 'name the authority as ca in hosts.toml (--mirror-target-ca), and the address among the names of the certificate\nopenssl x509 -in tls.crt -noout -ext subjectAltName -issuer -dates'
      : 'is the agent running, and does --registry-addr fit the port of hosts.toml?\nss -ltnp; curl -si URL/v2/',
    silent,
  );
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

/** A URL under which containerd knows the mirror. */
interface Target {
  readonly origin: string;
  /** Client certificate and key of containerd there. */
  readonly client?: readonly [certificate: string, key: string];
  /** Authorities that containerd trusts there besides those of the system. */
  readonly ca?: readonly string[];
  /** Whether containerd verifies the certificate; false when that is not known. */
  readonly verifies: boolean;
}

async function mirrorTargets(facts: Facts): Promise<Target[]> {
  const named = facts.init.mirrorTargets;
  const targets = new Map<string, Target>();
  for (const url of named) addTarget(targets, url, { verifies: false });
  for (const file of await facts.files()) {
    const folder = dirname(file.path);
    for (const position of mirrorPositions(file, named)) {
      const host = file.hosts?.hosts[position];
      if (host === undefined) continue;
      const [[certificate, key = certificate] = []] = host.client ?? [];
      addTarget(targets, host.url, {
        verifies: host.skipVerify !== true,
        ca: (host.ca ?? []).map((each) => resolve(folder, each)),
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
  { origin, client, ca = [] }: Target,
  signal: AbortSignal,
): Promise<NamespaceAnswer> {
  const [cert, key] = await Promise.all(
    (client ?? []).map((file) => readRegularFile(file).catch(() => undefined)),
  );
  const identity = cert === undefined || key === undefined ? {} : { cert, key };
  const authorities = origin.startsWith('https:')
    ? await Promise.all(ca.map((file) => readRegularFile(file).catch(() => '')))
    : [];
  const request = {
    url: `${origin}/v2/`,
    method: 'GET',
    timeoutMs: MIRROR_MS,
    ...identity,
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

async function routerPort(facts: Facts): Promise<CheckResult> {
  const port = facts.init.routerPort;
  const listeners = await listenersAt(port);
  const [listener] = listeners;
  const listening = at(await facts.status().catch(() => undefined), 'listening');
  const ours =
    Array.isArray(listening) && listening.some((it) => String(it).includes(`/tcp/${port}`));
  if (ours) return ok(`the agent listens at ${port} for its peers`);
  if (listener === undefined) {
    const other = Array.isArray(listening) ? `, but at ${listening.join(', ')}` : '';
    return other === ''
      ? skipped(`no process listens at ${port}, and the agent does not answer: see agent`)
      : ok(`the agent does not listen at ${port}${other}`);
  }
  const owner = await ownerOf(listener.inode);
  if (owner?.isAgent === true) return ok(`an agent, process ${owner.pid}, listens at ${port}`);
  const remedy = `end that program, or give the agent another port on every node: --router-addr :5011`;
  if (owner === undefined) {
    return failure(
      `another program than our agent listens at ${port}; run doctor as root to see which`,
      `ss -ltnp 'sport = :${port}'\n${remedy}`,
    );
  }
  const k3s = /^(k3s|rke2)/.test(owner.name);
  return failure(
    `port ${port} is held by ${owner.name}, process ${owner.pid}: our agent cannot start${k3s ? '; it is the mirror embedded in k3s' : ''}`,
    k3s ? EMBEDDED_REMEDY : remedy,
  );
}

const EMBEDDED_REMEDY =
  'remove embedded-registry from /etc/rancher/k3s/config.yaml on the servers (or --embedded-registry from their unit), and restart k3s\nor give our agent another port on every node by --router-addr :5011 (K3S_P2P_PORT changes both)';

async function embeddedMirror(facts: Facts): Promise<CheckResult> {
  const file = facts.init.k3sConfig;
  const files = [file, ...(await dropIns(`${file}.d`))];
  let readable = 0;
  for (const each of files) {
    const text = await readRegularFile(each).catch((error: unknown) => error);
    if (text instanceof Error) {
      if ('code' in text && text.code === 'ENOENT') continue;
      throw new CheckSkippedError(`${each} cannot be read (${text.message}); run doctor as root`);
    }
    readable += 1;
    if (isEmbeddedRegistryOn(String(text), each)) {
      return failure(
        `${each} switches the mirror embedded in k3s on: it takes port 5001, and names itself in hosts.toml`,
        EMBEDDED_REMEDY,
      );
    }
  }
  return readable === 0
    ? ok('there is no configuration of k3s here')
    : ok('the mirror embedded in k3s is off in the configuration of this node');
}

async function dropIns(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.yaml')).map((name) => join(folder, name));
}
