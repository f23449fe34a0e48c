import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { seal } from '../../hosts/marker.ts';
import { doctorStage, serveAgent } from '../../testing/doctor-facts.ts';
import { renderText } from '../render.ts';

const MIRROR = "[host.'http://127.0.0.1:5000']\ncapabilities = ['pull', 'resolve']\n";
const OTHER = "[host.'https://mirror.example']\ncapabilities = ['pull']\n";
const DOCKER = "server = 'https://registry-1.docker.io'\n";

describe('the check hosts-file', () => {
  it('fails when the file is missing, and gives the command that writes it', async (t) => {
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

  it('warns when other hosts come first, and fails when the file names other hosts only', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', OTHER + MIRROR);
    assert.equal((await stage.find('hosts-file')).outcome, 'warning');
    stage.write('certs.d/_default/hosts.toml', OTHER);
    const { outcome, reason } = await stage.find('hosts-file');
    assert.equal(outcome, 'failure');
    assert.match(reason, /names no mirror/);
  });

  it('recognises the mirror by --mirror-targets', async (t) => {
    const targets = { mirrorTargets: ['http://10.0.0.1:30020'] };
    const stage = await doctorStage(t, {}, targets);
    stage.write('certs.d/_default/hosts.toml', "[host.'http://10.0.0.1:30020']\n");
    assert.equal((await stage.find('hosts-file')).outcome, 'ok');
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    assert.equal((await stage.find('hosts-file')).outcome, 'failure');
  });

  it('recognises the mirror at another address in a file that configuration wrote', async (t) => {
    const stage = await doctorStage(t, {});
    const text = "[host.'http://10.0.0.1:30020']\ncapabilities = ['pull']\n";
    const init = { folder: '_default', madeFolder: true, k3s: false };
    stage.write('certs.d/_default/hosts.toml', seal(text, init));
    assert.equal((await stage.find('hosts-file')).outcome, 'ok');
    stage.write('certs.d/_default/hosts.toml', text);
    assert.equal((await stage.find('hosts-file')).outcome, 'failure');
  });

  it('checks the registries that are named, or else those that the agent shares', async (t) => {
    const named = await doctorStage(t, {}, { registries: ['docker.io', 'ghcr.io'] });
    named.write('certs.d/docker.io/hosts.toml', DOCKER + MIRROR);
    const { outcome, details } = await named.find('hosts-file');
    assert.equal(outcome, 'failure');
    assert.equal(details?.length, 1);
    assert.match(details.join(), /ghcr\.io\/hosts\.toml/);

    const settings = { settings: { registries: ['ghcr.io'] } };
    const metricsAddress = await serveAgent(t, { '/debug/status': settings });
    const shared = await doctorStage(t, {}, { metricsAddress });
    shared.write('certs.d/ghcr.io/hosts.toml', MIRROR);
    assert.equal((await shared.find('hosts-file')).outcome, 'ok');
  });
});

describe('the check hosts-hidden', () => {
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
    assert.match(
      remedy ?? '',
      / --mirrored-registries '\*' docker\.io quay\.io --prepend-existing/,
    );
  });
});

describe('remedies of hosts.toml checks', () => {
  it('restart an agent that configures containerd itself', async (t) => {
    const status = { settings: { registries: [], registryPort: 5000, configure: true } };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const stage = await doctorStage(t, {}, { metricsAddress });
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    stage.write('certs.d/docker.io/hosts.toml', DOCKER + OTHER);
    const { remedy } = await stage.find('hosts-hidden');
    assert.match(
      remedy ?? '',
      /^peerglass registry --configure --mirrored-registries '\*' docker\.io --prepend-existing$/m,
    );
    assert.doesNotMatch(remedy ?? '', /peerglass configuration/);
  });

  it('take a cache on loopback for no mirror when the agent listens elsewhere', async (t) => {
    const status = { settings: { registries: [], registryPort: 5000 } };
    const metricsAddress = await serveAgent(t, { '/debug/status': status });
    const stage = await doctorStage(t, {}, { metricsAddress });
    stage.write('certs.d/_default/hosts.toml', MIRROR);
    stage.write('certs.d/docker.io/hosts.toml', "[host.'http://127.0.0.1:8080']\n");
    assert.equal((await stage.find('hosts-hidden')).outcome, 'failure');
  });
});

describe('the check hosts-valid', () => {
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

  it('prints nothing of the content of an invalid file', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write(
      'certs.d/_default/hosts.toml',
      "[host.'http://x'.header]\nauthorization = 'Basic c2VjcmV0' oops\n",
    );
    const finding = await stage.find('hosts-valid');
    assert.equal(finding.outcome, 'failure');
    assert.doesNotMatch(JSON.stringify(finding), /c2VjcmV0/);
  });

  it('fails for the capability referrers before containerd 2.2', async (t) => {
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

  it('reads the files as the containerd of the node does', async (t) => {
    const ipv6 = "[host.'http://[fd88::2]:5000']\ncapabilities = ['pull']\n";
    const inline = "[host]\n'http://127.0.0.1:5000' = { capabilities = ['pull'] }\n";
    for (const [version, text, outcome, says] of [
      ['1.7.24', ipv6, 'failure', /_default\/hosts\.toml: line 1: .*IPv6.*host name/],
      ['2.1.9', ipv6, 'ok', /^$/],
      ['1.7.24', `\uFEFF${MIRROR}`, 'ok', /^$/],
      ['2.1.9', `\uFEFF${MIRROR}`, 'failure', /byte order mark/],
      ['1.7.24', inline, 'ok', /^$/],
      ['2.1.9', inline, 'failure', /hosts\.toml: http:\/\/127\.0\.0\.1:5000$/],
      ['1.7.24', DOCKER, 'failure', /without a \[host/],
      ['2.1.9', `${MIRROR}dial_timeout = '2 s'\n`, 'failure', /line 3: dial_timeout "2 s"/],
    ] as const) {
      const stage = await doctorStage(t, { version });
      stage.write('certs.d/_default/hosts.toml', text);
      const found = await stage.find('hosts-valid');
      assert.equal(found.outcome, outcome, `${version}: ${text}`);
      assert.match(found.details?.join() ?? '', says);
    }
  });

  it('warns about TLS keys on an http:// host', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/_default/hosts.toml', `${MIRROR}skip_verify = true\n`);
    assert.equal((await stage.find('hosts-valid')).outcome, 'warning');
  });
});

describe('the check hosts-server', () => {
  for (const [folder, text, outcome] of [
    ['_default', MIRROR, 'ok'],
    ['docker.io', DOCKER + MIRROR, 'ok'],
    ['ghcr.io', "server = 'https://harbor.example'\n" + MIRROR, 'ok'],
    ['_default', DOCKER + MIRROR, 'failure'],
    ['docker.io', "server = 'https://docker.io'\n" + MIRROR, 'failure'],
    ['ghcr.io', "server = 'http://127.0.0.1:5000'\n" + MIRROR, 'warning'],
  ] as const) {
    it(`is ${outcome} for ${text.split('\n')[0] ?? ''} in ${folder}`, async (t) => {
      const stage = await doctorStage(t, {});
      stage.write(`certs.d/${folder}/hosts.toml`, text);
      assert.equal((await stage.find('hosts-server')).outcome, outcome);
    });
  }

  it('says that the corrected line stands above, where the details are printed', async (t) => {
    const stage = await doctorStage(t, {});
    stage.write('certs.d/docker.io/hosts.toml', "server = 'https://docker.io'\n" + MIRROR);
    const finding = await stage.find('hosts-server');
    const counts = { ok: 0, warning: 0, failure: 1, skipped: 0 };
    const report = { schema: 1, version: '1.0.0', result: 'failure', counts } as const;
    const text = renderText({ ...report, checks: [finding] }, false);
    const [before = '', after] = text.split('shown above');
    assert.match(before, /write server = 'https:\/\/registry-1\.docker\.io'/);
    assert.ok(after !== undefined, text);
  });
});

it('the check hosts-file is skipped with the reason when certs.d is a file', async (t) => {
  const stage = await doctorStage(t, {});
  stage.write('certs.d', 'a file');
  const { outcome, reason } = await stage.find('hosts-file');
  assert.equal(outcome, 'skipped');
  assert.match(reason, /certs\.d cannot be read \(ENOTDIR\)/);
});
