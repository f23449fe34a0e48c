import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { K3S_HEADER, provenanceOf, seal } from './marker.ts';

const init = fc.record({
  folder: fc.constantFrom('_default', 'docker.io'),
  madeFolder: fc.boolean(),
  k3s: fc.boolean(),
});

function withoutVersion(text: string): string {
  return text.replace(/^# peerglass v\d+/m, '# peerglass v');
}

describe('seal and provenanceOf', () => {
  it('recognise any sealed content as ours, with its flag', () => {
    fc.assert(
      fc.property(fc.string(), init, (content, sealed) => {
        assert.deepEqual(provenanceOf(seal(content, sealed), sealed.folder), {
          origin: 'ours',
          madeFolder: sealed.madeFolder,
        });
      }),
    );
  });

  it('recognise every change of a sealed file', () => {
    fc.assert(
      fc.property(
        fc.string(),
        init,
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        (content, sealed, at, char) => {
          const text = seal(content, sealed);
          const index = at % (text.length + 1);
          const changed = text.slice(0, index) + char + text.slice(index + 1);
          // Another version is another format, and no edit: files of all versions are recognised.
          fc.pre(withoutVersion(changed) !== withoutVersion(text));
          assert.notEqual(provenanceOf(changed, sealed.folder).origin, 'ours');
        },
      ),
    );
  });

  it('count a copy in the folder of another registry as edited', () => {
    const text = seal('x', { folder: 'docker.io', madeFolder: true, k3s: false });
    assert.equal(provenanceOf(text, 'quay.io').origin, 'edited');
  });

  it('keep the first line of k3s above the marker', () => {
    const text = seal('x', { folder: 'docker.io', madeFolder: false, k3s: true });
    assert.ok(text.startsWith(`${K3S_HEADER}# peerglass v1 sha256:`));
    assert.equal(provenanceOf(`# comment\n${text}`, 'docker.io').origin, 'edited');
  });

  it('count a file without a marker as written by another program', () => {
    for (const text of ['', K3S_HEADER, '# peerglass v1 sha256:abc\n']) {
      assert.deepEqual(provenanceOf(text, 'docker.io'), { origin: 'theirs', madeFolder: false });
    }
  });
});
