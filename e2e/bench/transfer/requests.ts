import type { BuiltImage } from '../../images/image.ts';
import { manifestPath } from '../../harness/mirror.ts';
import type { Host } from '../../harness/namespaces.ts';
import { MANIFEST_ACCEPT } from '../../../agent/oci/media-type.ts';
import { RANDOM_DIGEST, request, shareOk } from '../support/load.ts';
import { treeCpuMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { Rounds, type Measured, type Subject } from '../support/rounds.ts';
import { atMirror, atOwnMirror, type TransferStage } from '../support/transfer-stage.ts';

const CONNECTIONS = 32;
/** Requests of a pull at a time. */
const MISS_CONNECTIONS = [1, 4] as const;
const RATE = 'requests/s';

/** How the figures are taken. */
export interface RequestsInit {
  readonly rounds: number;
  readonly seconds: number;
}

/** By digest and by tag: two different roads in an agent. */
interface Kind {
  readonly name: string;
  readonly path: string;
  readonly reference: string;
}

/** A manifest from the holder itself, beside docker-registry, both for a client on a third machine. */
export async function measureManifest(
  stage: TransferStage,
  report: Report,
  init: RequestsInit,
): Promise<void> {
  for (const { name, path, reference } of kindsOf(await stage.app())) {
    const figure = `manifest ${name}`;
    const subjects = [
      asking('agent', stage.client, atMirror(stage.a, path), [stage.a.agent.pid], init),
      registry(stage, stage.client, reference, init),
    ];
    await take(report, figure, subjects, init, {
      rate: 'at least 5',
      p99: 'at most 0.2',
    });
  }
}

/** The same manifest through the agent of another node, for its containerd, beside docker-registry. */
export async function measureManifestOfPeer(
  stage: TransferStage,
  report: Report,
  init: RequestsInit,
): Promise<void> {
  const { a, b } = stage;
  for (const { name, path, reference } of kindsOf(await stage.app())) {
    const figure = `manifest-peer ${name}`;
    const pids = [a.agent.pid, b.agent.pid];
    const subjects = [
      asking('agent', b.host, atOwnMirror(path), pids, init),
      registry(stage, b.host, reference, init),
    ];
    await take(report, figure, subjects, init, { rate: 'at least 1' });
  }
}

/**
 * The time that an agent adds to the pull of content without a holder: that of its 404. The 404 of nginx in the same
 * place shows the share of the machine.
 */
export async function measureMiss(
  stage: TransferStage,
  report: Report,
  { seconds }: RequestsInit,
): Promise<void> {
  const path = `/v2/bench/none/blobs/${RANDOM_DIGEST}?ns=registry.example.test`;
  const { origin } = await stage.nginx();
  for (const connections of MISS_CONNECTIONS) {
    report.progress(`miss: ${connections} at a time`);
    for (const [name, host, url] of [
      ['agent', stage.b.host, atOwnMirror(path)],
      ['nginx', stage.a.host, `${origin}${path}`],
    ] as const) {
      const options = { url, connections, seconds, method: 'HEAD' } as const;
      const { count, statuses, p50, p99 } = await request(host, options);
      const what = `${name}, ${connections} at a time`;
      report.add(
        'miss',
        `${what}, p50`,
        p50,
        'ms',
        `${count} requests: ${JSON.stringify(statuses)}`,
      );
      report.add('miss', `${what}, p99`, p99, 'ms', name === 'agent' ? 'goal: at most 10 ms' : '');
    }
  }
}

function kindsOf(image: BuiltImage): readonly Kind[] {
  const { digest } = image.target;
  return [
    { name: 'by digest', path: manifestPath(image, digest), reference: digest },
    { name: 'by tag', path: manifestPath(image), reference: '1.0' },
  ];
}

function registry(
  { upstream }: TransferStage,
  from: Host,
  reference: string,
  init: RequestsInit,
): Subject {
  const url = `${upstream.origin}/v2/bench/app/manifests/${reference}`;
  return asking('docker-registry', from, url, [upstream.pid], init);
}

function asking(
  name: string,
  from: Host,
  url: string,
  pids: readonly number[],
  { seconds }: RequestsInit,
): Subject {
  const measure = async (): Promise<Measured> => {
    const before = await treeCpuMs(pids);
    const answered = await request(from, {
      url,
      connections: CONNECTIONS,
      seconds,
      accept: MANIFEST_ACCEPT,
    });
    const cpu = (await treeCpuMs(pids)) - before;
    const { perSecond, p50, p99 } = answered;
    return {
      [RATE]: perSecond,
      p50,
      p99,
      ok: 100 * shareOk(answered),
      'CPU ms': cpu / answered.count,
    };
  };
  return { name, measure };
}

async function take(
  report: Report,
  figure: string,
  subjects: readonly Subject[],
  { rounds }: RequestsInit,
  goal: { readonly rate: string; readonly p99?: string },
): Promise<void> {
  const taken = new Rounds();
  await taken.run(subjects, rounds, (text) => {
    report.progress(`${figure}: ${text}`);
  });
  for (const { name } of subjects) {
    const note = `CPU ${taken.median(name, 'CPU ms').toPrecision(2)} ms a request`;
    report.add(figure, `${name}, rate`, taken.median(name, RATE), RATE, note);
    report.add(figure, `${name}, p50`, taken.median(name, 'p50'), 'ms');
    report.add(figure, `${name}, p99`, taken.median(name, 'p99'), 'ms');
    const worst = 'in the worst round; goal: 100';
    report.add(figure, `${name}, answers that are 200`, taken.least(name, 'ok'), '%', worst);
  }
  const [ours, peer] = ['agent', 'docker-registry'];
  const [rate, p99] = [taken.ratio(ours, peer, RATE), taken.ratio(ours, peer, 'p99')];
  report.add(figure, `requests/s, ${ours} to ${peer}`, rate, 'x', `goal: ${goal.rate}`);
  const slow = goal.p99 === undefined ? '' : `goal: ${goal.p99}`;
  report.add(figure, `p99, ${ours} to ${peer}`, p99, 'x', slow);
}
