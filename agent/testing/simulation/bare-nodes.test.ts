import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BareNodes } from './bare-nodes.ts';

describe('BareNodes', () => {
  it('starts nodes that listen, and awaits work on their clock', async () => {
    using network = await BareNodes.start(2);
    assert.equal(network.links.at('10.0.0.2:5001'), network.at(1));
    const before = performance.now();
    await network.during(10, Promise.resolve());
    assert.equal(performance.now(), before + 10);
    await assert.rejects(network.during(1, Promise.reject(new Error('fails'))), /fails/);
    assert.throws(() => network.at(2), /no node/);
  });
});
