import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { seal } from '../../hosts/marker.ts';
import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';

const MIRROR = "[host.'http://127.0.0.1:5000']\ncapabilities = ['pull', 'resolve']\n";
const OTHER = "[host.'https://mirror.example']\ncapabilities = ['pull']\n";
const DOCKER = "server = 'https://registry-1.docker.io'\n";

describe('hosts-file', () => {
  it('fails when it is not there, and gives the command that writes it', async (t) => {
    const { find, init } = await doctorStage(t, {});
    const { outcome, remedy, details } = await find('hosts-file');
    assert.equal(outcome, 'failure');
    assert.match(remedy ?? '', /^peerglass configuration --mirror-targets /);
    assert.deepEqual(details, [`${init.certsFolder}/_default/hosts.toml`]);
  });

  it('is ok when the mirror is the first host', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', MIRROR + OTHER);
    assert.equal((await stage.find('hosts-file')).outcome, 'ok');
  });

  it('warns when others come first, fails when it names others only', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', OTHER + MIRROR);
    assert.equal((await stage.find('hosts-file')).outcome, 'warning');
    stage.write('certs.d/_default/hosts.toml', OTHER);
    const { outcome, reason } = await stage.find('hosts-file');
    assert.equal(outcome, 'failure');
    assert.match(reason, /names no mirror/);
  });

  it('knows the mirror by its targets', async (t) => {
    const targets = { mirrorTargets: ['http://10.0.0.1:30020'] };
    const stage = await doctorStage(t, {}, targets);
    stage.write('certs.d/_default/hosts.toml', "[host.'http://10.0.0.1:30020']\n");
    assert.equal((await stage.find('hosts-file')).outcome, 'ok');
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    assert.equal((await stage.find('hosts-file')).outcome, 'failure');
  });

  it('knows the mirror at another address in a file that configuration wrote', async (t) => {
    const stage = await doctorStage(t, {});
    const text = "[host.'http://10.0.0.1:30020']\ncapabilities = ['pull']\n";
    const init = { folder: '_default', madeFolder: true, k3s: false };
    stage.write('certs.d/_default/hosts.toml', seal(text, init));
    assert.equal((await stage.find('hosts-file')).outcome, 'ok');
    stage.write('certs.d/_default/hosts.toml', text);
    assert.equal((await stage.find('hosts-file')).outcome, 'failure');
  });

  it('looks for the registries that are named, or that the agent shares', async (t) => {
    const told = await doctorStage(t, {}, { registries: ['docker.io', 'ghcr.io'] });
    told.write('certs.d/docker.io/hosts.toml', DOCKER + MIRROR);
    const { outcome, details } = await told.find('hosts-file');
    assert.equal(outcome, 'failure');
    assert.equal(details?.length, 1);
    assert.match(details.join(), /ghcr\.io\/hosts\.toml/);

    const settings = { settings: { registries: ['ghcr.io'] } };
    const metricsAddress = await serveAgent(t, { '/debug/status': settings });
    const asked = await doctorStage(t, {}, { metricsAddress });
    asked.write('certs.d/ghcr.io/hosts.toml', MIRROR);
    assert.equal((await asked.find('hosts-file')).outcome, 'ok');
  });
});

describe('hosts-hidden', () => {
  it('fails when a folder of one registry hides _default', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    stage.write('certs.d/localhost:5000/hosts.toml', OTHER);
    stage.write('certs.d/docker.io/hosts.toml', DOCKER + MIRROR);
    assert.equal((await stage.find('hosts-hidden')).outcome, 'ok');
    stage.write('certs.d/docker.io/hosts.toml', DOCKER + OTHER);
    stage.write('certs.d/quay.io/ca.crt', '');
    const { outcome, details, remedy } = await stage.find('hosts-hidden');
    assert.equal(outcome, 'failure');
    assert.match(
      details?.join() ?? '',
      /docker\.io\/hosts\.toml,.*quay\.io\/hosts\.toml \(no valid/,
    );
    assert.match(remedy ?? '', /--prepend-existing --mirrored-registries docker\.io quay\.io/);
  });
});

describe('hosts-valid', () => {
  it('is ok for valid files', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    assert.equal((await stage.find('hosts-valid')).outcome, 'ok');
  });

  it('fails for an unknown capability and names file and line', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', MIRROR.replace("'resolve'", "'resolv'"));
    const { outcome, details } = await stage.find('hosts-valid');
    assert.equal(outcome, 'failure');
    assert.match(details?.join() ?? '', /_default\/hosts\.toml: line 2: .*resolv/);
    assert.equal((await stage.find('hosts-file')).outcome, 'skipped');
  });

  it('prints nothing of what is in a broken file', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write(
      'certs.d/_default/hosts.toml',
      "[host.'http://x'.header]\nauthorization = 'Basic c2VjcmV0' oops\n",
    );
    const finding = await stage.find('hosts-valid');
    assert.equal(finding.outcome, 'failure');
    assert.doesNotMatch(JSON.stringify(finding), /c2VjcmV0/);
  });

  it('knows from which version on referrers is known', async (t) => {
    for (const [version, outcome] of [
      ['2.1.9', 'failure'],
      ['2.2.0', 'ok'],
    ] as const) {
      const stage = await doctorStage(t, { version });
      const text = MIRROR.replace("'resolve'", "'resolve', 'referrers'");
      stage.write('certs.d/_default/hosts.toml', text);
      assert.equal((await stage.find('hosts-valid')).outcome, outcome, version);
    }
  });

  it('warns of TLS keys on http', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', `${MIRROR}skip_verify = true\n`);
    assert.equal((await stage.find('hosts-valid')).outcome, 'warning');
  });
});

describe('hosts-server', () => {
  for (const [folder, text, outcome] of [
    ['_default', MIRROR, 'ok'],
    ['docker.io', DOCKER + MIRROR, 'ok'],
    ['ghcr.io', "server = 'https://harbor.example'\n" + MIRROR, 'ok'],
    ['_default', DOCKER + MIRROR, 'failure'],
    ['docker.io', "server = 'https://docker.io'\n" + MIRROR, 'failure'],
    ['ghcr.io', "server = 'http://127.0.0.1:5000'\n" + MIRROR, 'warning'],
  ] as const) {
    it(`${folder}, ${text.split('\n')[0] ?? ''}: ${outcome}`, async (t) => {
      const stage = await doctorStage(t, {});
      stage.write(`certs.d/${folder}/hosts.toml`, text);
      assert.equal((await stage.find('hosts-server')).outcome, outcome);
    });
  }
});

it('says why it could not look into a folder that is none', async (t) => {
  const stage = await doctorStage(t, {});
  stage.write('certs.d', 'a file');
  const { outcome, reason } = await stage.find('hosts-file');
  assert.equal(outcome, 'skipped');
  assert.match(reason, /certs\.d cannot be read \(ENOTDIR\)/);
});
