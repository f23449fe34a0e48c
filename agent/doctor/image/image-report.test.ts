import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { renderImage, type ImageReport } from './image-report.ts';

const KEY = `sha256:${'0123456789abcdef'.repeat(4)}`;
const holder = (answer: string) => ({ peerId: 'p', origin: 'http://10.0.0.1:5000', answer });
const report = (parts: ImageReport['parts'], notes: readonly string[] = []): ImageReport => ({
  schema: 1,
  version: '1.0.0',
  image: 'docker.io/library/nginx:1',
  result: 'ok',
  reason: 'The reason.',
  parts,
  notes,
});

describe('renderImage', () => {
  it('prints one line for each part, with short digests and sizes', () => {
    const text = renderImage(
      report([
        {
          kind: 'tag',
          key: 'docker.io/library/nginx:1',
          here: true,
          holders: [],
          servedBy: 'local',
        },
        {
          kind: 'layer',
          key: KEY,
          size: 50 * 1024 * 1024,
          holders: [holder('has it')],
          why: 'busy',
        },
      ]),
    );
    assert.equal(
      text,
      `docker.io/library/nginx:1

  what   digest               size    here  peers  served by  why not
  tag    1                            yes   0      local
  layer  sha256:0123456789ab  50 MiB  ?     1      -          busy

The reason.
`,
    );
  });

  it('lists holders that do not serve, and counts those that do', () => {
    const holders = [holder('has it'), holder('does not have it')];
    const text = renderImage(report([{ kind: 'layer', key: KEY, here: false, holders }]));
    assert.match(text, /^ {2}layer .* no +1 of 2 +-$/m);
    assert.match(
      text,
      /named as holders, but not serving:\n {2}http:\/\/10\.0\.0\.1:5000, sha256:0123456789ab: does not have it\n/,
    );
  });

  it('names the tag that a holder does not have, rather than a name that is cut off', () => {
    const holders = [holder('does not have it')];
    const key = 'registry.example/team/app:1.0';
    const text = renderImage(report([{ kind: 'tag', key, holders }]));
    assert.match(text, /not serving:\n {2}http:\/\/10\.0\.0\.1:5000, 1\.0: does not have it\n/);
  });

  it('prints the notes, and no table without parts', () => {
    const text = renderImage(report([], ['the agent does not answer']));
    assert.equal(
      text,
      'docker.io/library/nginx:1\n\nnote: the agent does not answer\nThe reason.\n',
    );
  });
});
