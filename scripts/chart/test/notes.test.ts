import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import packageJson from '../../../package.json' with { type: 'json' };
import { install } from '../helm.ts';
import { KubernetesApi } from '../kubernetes-api.ts';
import { skip } from './render.ts';

async function notesOf(values: unknown): Promise<string> {
  await using api = await KubernetesApi.start();
  return (await install(values, api)).notes;
}

const OURS = { image: { repository: 'registry.example/peerglass' } };

describe('the notes of the chart', { skip }, () => {
  it('contain three commands, and no warning without a reason', async () => {
    const notes = await notesOf(OURS);
    assert.match(notes, /^Peerglass /);
    assert.equal(notes.match(/^ {3}(kubectl|helm) /gm)?.length, 3);
    assert.doesNotMatch(notes, /WARNING|embedded|IMAGE/);
  });

  it('warn that a NodePort serves any client, unless it serves the own node only', async () => {
    const registry = { nodePort: 30_021 };
    const warning = /WARNING[^]*service\.registry\.nodePort: each agent serves any client/;
    assert.match(await notesOf({ ...OURS, service: { registry } }), warning);
    const peerglass = { mirrorClients: 'node' };
    assert.doesNotMatch(await notesOf({ ...OURS, service: { registry }, peerglass }), /WARNING/);
  });

  for (const [what, values, more] of [
    ['the default image, which is in no registry', {}, ''],
    [
      "Spegel's image, in place of which the default one runs",
      { image: { repository: 'a/spegel', tag: 'v0.7.4' } },
      ',image.tag=,image.digest=',
    ],
  ] as const) {
    it(`begin with how to build and distribute the image: ${what}`, async () => {
      const { version } = packageJson;
      const notes = await notesOf(values);
      assert.match(notes, /^FIRST THE IMAGE: localhost\/peerglass:/);
      const commands = [
        'scripts/build-image',
        `skopeo copy --all oci-archive:dist/image/image.tar:${version} docker://registry.example/peerglass:${version}`,
        `helm -n peerglass upgrade test charts/peerglass --reuse-values --set image.repository=registry.example/peerglass${more}`,
        'ctr -n k8s.io image import image.tar',
        'kubectl -n peerglass rollout status daemonset/test-peerglass',
      ];
      const places = commands.map((command) => notes.indexOf(`\n   ${command}\n`));
      assert.ok(!places.includes(-1), notes);
      assert.deepEqual(
        places,
        places.toSorted((a, b) => a - b),
        'in this order',
      );
    });
  }
});
