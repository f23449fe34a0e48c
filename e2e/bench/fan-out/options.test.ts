import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { idealMs, imageName, linkName, parseFanOutOptions } from './options.ts';

describe('the options of the fan-out bench', () => {
  it('reads links, images and faults', () => {
    const words = ['--links', '1000/200', '--images', '4x25', '--kill', 'inner', '--how', 'stop'];
    const more = ['--wave', '20', '--throttle', '50', '--only', 'on,alone'];
    const options = parseFanOutOptions([...words, ...more]);
    assert.deepEqual(options.links, [{ node: 1000, upstream: 200 }]);
    assert.deepEqual(options.images, [{ layers: 4, layerBytes: 25_000_000 }]);
    assert.deepEqual(options.fault, { victim: 'inner', how: 'stop' });
    assert.equal(options.waveShare, 0.2);
    assert.equal(options.throttle, 50);
    assert.deepEqual(options.cases, ['alone', 'on']);
  });

  it('takes the size of all layers from --layer-bytes', () => {
    const { images } = parseFanOutOptions(['--images', '1x200,20x5', '--layer-bytes', '4096']);
    assert.deepEqual(images.map(imageName), ['1 x 0.0041 MB', '20 x 0.0041 MB']);
  });

  for (const words of [
    ['--links', '200'],
    ['--images', '4'],
    ['--only', 'twice'],
    ['--kill', 'all'],
    ['--suite', 'sid'],
  ]) {
    it(`refuses ${words.join(' ')}`, () => {
      assert.throws(() => parseFanOutOptions(words), Error);
    });
  }

  it('knows the best time of one node', () => {
    const links = { node: 1000, upstream: 200 };
    assert.equal(idealMs({ layers: 4, layerBytes: 25_000_000 }, links), 4000);
    assert.equal(linkName(links), 'C = 1000, U = 200');
  });
});
