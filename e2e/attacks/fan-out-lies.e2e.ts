import assert from 'node:assert/strict';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, type TestContext } from 'node:test';

import type { ClusterNode } from '../harness/cluster.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { assertAllPulled, Herd, layerOf, RATE } from '../scenarios/support/herd.ts';

const NODES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(
  (name) => ({ suite: 'forky', name }) as const,
);

/** Images that are tried until the wrong byte has reached a node. */
const ROUNDS = 4;

/** A byte in the first tenth of the layer. */
const WRONG_AT = 1_000_000;

suite('a node that sends wrong bytes of a download in progress', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start(NODES);
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  /**
   * Has one node send a wrong byte, and asserts that no pull fails twice.
   *
   * @param before how many nodes come before the liar
   * @returns how many pulls failed at the first try
   */
  async function lie(name: string, before: number, t: TestContext): Promise<number> {
    await herd.clear();
    const { nodes, front } = herd;
    const fixture = await herd.image(name);
    const { image } = fixture;
    // Slowly, so that on a busy machine too all have begun before the liar has all of it.
    await front.behave({ rate: RATE / 2 });
    // Those that come before the liar, then the liar, then those that may follow it.
    const honest = nodes.slice(0, before);
    const [liar, ...later] = nodes.slice(before);
    assert.ok(liar !== undefined);
    const pulls = herd.pull(image.name, honest);
    if (honest.length > 0) await herd.receiving(honest, 500_000);
    pulls.push(...herd.pull(image.name, [liar]));
    await herd.receiving([liar], WRONG_AT + 100_000);
    // containerd has hashed this byte: what the agent sends from now on is wrong, until the byte is right again, and
    // containerd commits and unpacks the layer.
    const flipBack = await flip(liar, WRONG_AT);
    pulls.push(...herd.pull(image.name, later));
    await herd.receiving(later, WRONG_AT + 100_000);
    await flipBack();
    const first = await Promise.all(pulls);
    const failed = first.filter(({ error }) => error !== undefined).map(({ node }) => node);
    t.diagnostic(`${String(failed.length)} pulls failed at the first try`);
    await herd.forgotten(failed);
    await front.behave({});
    assertAllPulled(await Promise.all(herd.pull(image.name, failed)));
    for (const { containerd } of nodes.filter((node) => node !== liar)) {
      await assertHoldsImage(containerd, image);
    }
    const requests = await herd.requestsFor(layerOf(image));
    assert.ok(requests.length <= nodes.length + 1, JSON.stringify(requests));
    return failed.length;
  }

  for (const [where, before] of [
    ['at the root', 0],
    ['in the middle', 1],
    ['as a leaf', 5],
  ] as const) {
    scenario(
      `${where} fails no pull twice`,
      () => herd,
      async (_, t) => {
        let failures = 0;
        // On a busy machine the question of the liar may be too late: then it is no parent.
        for (let round = 1; round <= ROUNDS && failures === 0; round++) {
          failures = await lie(`liar-${where.replaceAll(' ', '-')}-${String(round)}`, before, t);
          if (where !== 'at the root') break;
        }
        if (where === 'at the root') assert.ok(failures > 0, 'the wrong byte reached a node');
      },
      { timeoutMs: 240_000 },
    );
  }
});

/** Changes a byte of the largest unfinished download of a node. Returns what makes it right again. */
async function flip({ containerd }: ClusterNode, at: number): Promise<() => Promise<void>> {
  const folder = join(containerd.contentPath, 'ingest');
  const file = await waitFor('there is an unfinished download', async () => {
    for (const name of await readdir(folder)) {
      const path = join(folder, name, 'data');
      if (((await stat(path).catch(() => undefined))?.size ?? 0) > at) return path;
    }
    return undefined;
  });
  const invert = async (): Promise<void> => {
    const handle = await open(file, 'r+');
    try {
      const byte = Buffer.alloc(1);
      await handle.read(byte, 0, 1, at);
      await handle.write(Buffer.from([(byte[0] ?? 0) ^ 0xff]), 0, 1, at);
    } finally {
      await handle.close();
    }
  };
  await invert();
  return invert;
}
