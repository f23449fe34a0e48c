import { existsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ClusterNode } from '../../harness/cluster.ts';
import { writeHostsToml } from '../../harness/hosts-toml.ts';
import type { BuiltImage } from '../../images/image.ts';
import { sum } from '../support/samples.ts';
import type { Report } from '../support/report.ts';
import { Rounds, type Measured, type Subject } from '../support/rounds.ts';
import type { TransferStage } from '../support/transfer-stage.ts';

const MIB = 1 << 20;
const LOOK_MS = 5;
const FETCHED = 'fetched';
const PULLED = 'pulled';
/** Of the image's bytes, which the holder must have sent at least: not the registry. */
const FROM_PEER = 0.99;

/** A pull over the CRI of an image of 450 MiB, from a peer and from docker-registry on the same bridge. */
export async function measurePull(
  stage: TransferStage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const image = await stage.app();
  const direct = { ...stage.b, hosts: [] };
  const subjects = [
    pulling('from a peer', stage, stage.b, image),
    pulling('from docker-registry', stage, direct, image),
  ];
  await take(report, 'pull', subjects, rounds, 'goal: at most 0.9');
}

/** A layer of 1 GiB through two agents, in parallel chunks (containerd 2.1) and whole. */
export async function measureChunks(
  stage: TransferStage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const image = await stage.large();
  const subjects = [
    pulling('in parallel chunks', stage, stage.chunks, image),
    pulling('whole', stage, stage.b, image),
  ];
  await take(report, 'chunks', subjects, rounds, 'goal: below 1');
}

/** What the network lets each of the holders send, in Mbit/s. */
const LINK_MBIT = 1000;

/** The same with two holders behind links of 1 Gbit/s, the case that parallel fetch is for. */
export async function measureChunksOverLinks(
  stage: TransferStage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const image = await stage.shared();
  const holders = [stage.a, stage.c].map(({ host }) => host);
  for (const host of holders) await host.limitUpload(LINK_MBIT);
  try {
    const subjects = [
      pulling('in parallel chunks', stage, stage.chunks, image),
      pulling('whole', stage, stage.b, image),
    ];
    await take(report, 'chunks-links', subjects, rounds, 'goal: below 1');
  } finally {
    for (const host of holders) await host.limitUpload(undefined);
  }
}

/** A node that pulls, and its mirrors. Default: its own agent. */
type Puller = ClusterNode & { readonly hosts?: readonly string[] };

function pulling(
  name: string,
  { a, c, upstream }: TransferStage,
  { containerd, hosts }: Puller,
  image: BuiltImage,
): Subject {
  const { registry, origin } = upstream;
  const bytes = sum(image.blobs.map(({ size }) => size));
  const measure = async (): Promise<Measured> => {
    await writeHostsToml(containerd.certsDir, registry, origin, hosts);
    await touchMemory(join(containerd.contentPath, 'touched'), bytes);
    const sent = await sentBy(a, c);
    const started = performance.now();
    const pull = containerd.pullWithCri(image.name);
    const fetched = await untilHeld(containerd.contentPath, image, pull);
    await pull;
    const pulled = performance.now();
    if (hosts === undefined && (await sentBy(a, c)) - sent < bytes * FROM_PEER) {
      throw new Error(`${name}: not all of it came from the peer`);
    }
    await containerd.removeImage();
    return { [FETCHED]: (fetched - started) / 1000, [PULLED]: (pulled - started) / 1000 };
  };
  return { name, measure };
}

async function sentBy(...nodes: readonly ClusterNode[]): Promise<number> {
  return sum(await Promise.all(nodes.map(({ host }) => host.bytesSent())));
}

/**
 * Makes the kernel claim the memory that the pull is going to fill. A virtual machine returns free memory to its host,
 * and claiming it again takes longer than the pull itself. The first pull would pay for all of them.
 */
async function touchMemory(path: string, bytes: number): Promise<void> {
  const block = Buffer.alloc(MIB);
  const file = await open(path, 'w');
  try {
    for (let written = 0; written < 2 * bytes; written += MIB) await file.write(block);
  } finally {
    await file.close();
    await rm(path);
  }
}

/** When the last blob was committed, by `performance.now()`, or when the pull was over. */
async function untilHeld(
  contentPath: string,
  image: BuiltImage,
  pull: Promise<unknown>,
): Promise<number> {
  const files = image.blobs.map(({ digest }) => join(contentPath, 'blobs', ...digest.split(':')));
  const pulled = pull.then(
    () => 'over',
    () => 'over',
  );
  while (!files.every((file) => existsSync(file))) {
    if ((await Promise.race([pulled, sleep(LOOK_MS, 'on')])) === 'over') break;
  }
  return performance.now();
}

async function take(
  report: Report,
  figure: string,
  subjects: readonly Subject[],
  rounds: number,
  goal: string,
): Promise<void> {
  const taken = new Rounds();
  await taken.run(subjects, rounds, (text) => {
    report.progress(`${figure}: ${text}`);
  });
  const [ours = '', peer = ''] = subjects.map(({ name }) => name);
  for (const [what, note] of [
    [FETCHED, 'until the last blob was committed'],
    [PULLED, 'unpacking included'],
  ] as const) {
    for (const name of [ours, peer]) {
      report.add(figure, `${name}, ${what}`, taken.median(name, what), 's', note);
    }
    report.add(figure, `${what}, ${ours} to ${peer}`, taken.ratio(ours, peer, what), 'x', goal);
  }
}
