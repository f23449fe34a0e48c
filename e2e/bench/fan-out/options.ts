import { parseArgs } from 'node:util';

import { SUITES, type Suite } from '../../harness/containerd-versions.ts';
import { choose, whole } from '../support/options.ts';

/** The cases in the order of the first round. */
const CASES = [
  ...(['alone', 'lone', 'members', 'straight', 'cache'] as const),
  ...(['off', 'on', 'held', 'mixed', 'upstream'] as const),
] as const;
const DEFAULT_CASES = 'alone,straight,cache,off,on';

/** Who pulls, and from where: see cases.ts. */
export type CaseName = (typeof CASES)[number];

/** What becomes of a node in the middle of the download. */
type FaultKind = 'kill' | 'stop' | 'unplug';

/** A node that fails: the one that downloads from the registry, or one that sends to other nodes. */
export interface FaultInit {
  readonly victim: 'fetcher' | 'inner';
  readonly how: FaultKind;
}

/** Rates of the links, in Mbit/s. */
export interface LinkRates {
  /** Of each node, in either direction. */
  readonly node: number;
  /** Of the registry, in either direction. */
  readonly upstream: number;
}

/** The layers of an image. */
export interface ImageShape {
  readonly layers: number;
  /** Bytes of each layer. */
  readonly layerBytes: number;
}

/** The options of the command line. */
export interface FanOutOptions {
  readonly cases: readonly CaseName[];
  readonly nodes: number;
  readonly links: readonly LinkRates[];
  readonly images: readonly ImageShape[];
  readonly rounds: number;
  readonly suite: Suite;
  /** In which the nodes of a wave begin, in milliseconds. */
  readonly spreadMs: number;
  /** Share of the nodes that pull at a time, above 0, up to 1. */
  readonly waveShare: number;
  /** Bytes of the chunks of containerd's parallel fetch; 0 is off. */
  readonly parallelFetchBytes: number;
  /** Mbit/s of each connection to the registry, after its first MiB; undefined: no limit. */
  readonly throttle: number | undefined;
  /** Whether agents and containerds have pulled nothing before. */
  readonly isCold: boolean;
  readonly fault: FaultInit | undefined;
  readonly seed: number;
  /** Files to write. */
  readonly svg: string | undefined;
  readonly json: string | undefined;
}

/** The help text. */
export const FAN_OUT_USAGE = `node e2e/bench/fan-out.bench.ts [OPTION]...
  --only CASE,...            of ${CASES.join(', ')} (${DEFAULT_CASES})
  --nodes N                  (8)
  --links C/U,...            Mbit/s of each node and of the registry, in either direction (200/200,1000/200)
  --images LAYERSxMB,...     layers and size of each in units of 1,000,000 bytes (1x200,4x25,20x5)
  --layer-bytes BYTES        size of every layer instead, to run smaller
  --rounds N                 each case is measured so often, in turn with the others (1)
  --suite SUITE              whose containerd: ${SUITES.join(', ')} (the newest, ${SUITES.at(-1) ?? ''})
  --spread-ms N              the nodes begin at random times within so long (300)
  --wave PERCENT             a rolling update: so many nodes at a time, the next when these have the image (100)
  --parallel-fetch BYTES     chunk of containerd's parallel fetch, from 2.1 (off)
  --throttle MBIT            of each connection to the registry, after its first MiB (off)
  --cold                     without the pull of a small image before each, which agents and containerds warm up with
  --kill fetcher|inner       a node fails after half the time of "alone", in the cases with agents
                             (no node does when none is of that kind at that moment)
  --how kill|stop|unplug     its agent and containerd end, or stop; or its link goes down (kill)
  --seed N                   of the random times (1)
  --svg FILE                 a picture of the share of nodes that have the image, over time
  --json FILE                all figures and the time of each node
`;

/**
 * Reads the command line.
 *
 * @throws Error that names the fault
 */
export function parseFanOutOptions(words: readonly string[]): FanOutOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { ...text, default: DEFAULT_CASES },
      nodes: { ...text, default: '8' },
      links: { ...text, default: '200/200,1000/200' },
      images: { ...text, default: '1x200,4x25,20x5' },
      'layer-bytes': text,
      rounds: { ...text, default: '1' },
      suite: { ...text, default: SUITES.at(-1) ?? '' },
      'spread-ms': { ...text, default: '300' },
      wave: { ...text, default: '100' },
      'parallel-fetch': text,
      throttle: text,
      cold: { type: 'boolean', default: false },
      kill: text,
      how: { ...text, default: 'kill' },
      seed: { ...text, default: '1' },
      svg: text,
      json: text,
    },
  });
  const layerBytes = values['layer-bytes'];
  const images = values.images.split(',').map(imageShape);
  const parallel = values['parallel-fetch'];
  return {
    cases: choose(CASES, values.only),
    nodes: whole(values.nodes),
    links: values.links.split(',').map(parseLinkRates),
    images:
      layerBytes === undefined
        ? images
        : images.map((image) => ({ ...image, layerBytes: whole(layerBytes) })),
    rounds: whole(values.rounds),
    suite: one(SUITES, values.suite),
    spreadMs: whole(values['spread-ms']),
    waveShare: Math.min(1, whole(values.wave) / 100),
    parallelFetchBytes: parallel === undefined ? 0 : whole(parallel),
    throttle: values.throttle === undefined ? undefined : whole(values.throttle),
    isCold: values.cold,
    fault:
      values.kill === undefined
        ? undefined
        : {
            victim: one(['fetcher', 'inner'], values.kill),
            how: one(['kill', 'stop', 'unplug'], values.how),
          },
    seed: whole(values.seed),
    svg: values.svg,
    json: values.json,
  };
}

/** `1 x 200 MB`, for people. */
export function imageName({ layers, layerBytes }: ImageShape): string {
  return `${layers} x ${Number((layerBytes / 1e6).toPrecision(3))} MB`;
}

/** `C = U = 200` or `C = 1000, U = 200`, for people. */
export function linkName({ node, upstream }: LinkRates): string {
  return node === upstream ? `C = U = ${node}` : `C = ${node}, U = ${upstream}`;
}

/** The time that one node needs at best, in milliseconds. */
export function idealMs({ layers, layerBytes }: ImageShape, { node, upstream }: LinkRates): number {
  return (layers * layerBytes * 8) / (Math.min(node, upstream) * 1000);
}

/**
 * Reads `C/U`.
 *
 * @throws Error when it is none
 */
export function parseLinkRates(text: string): LinkRates {
  const [node = '', upstream = '', more] = text.split('/');
  if (more !== undefined) throw new Error(`"${text}" is not C/U`);
  return { node: whole(node), upstream: whole(upstream) };
}

function imageShape(text: string): ImageShape {
  const [layers = '', megabytes = '', more] = text.split('x');
  if (more !== undefined) throw new Error(`"${text}" is not LAYERSxMB`);
  return { layers: whole(layers), layerBytes: whole(megabytes) * 1_000_000 };
}

function one<T extends string>(names: readonly T[], name: string): T {
  const [chosen] = choose(names, name);
  if (chosen === undefined) throw new Error(`no ${name}`);
  return chosen;
}
