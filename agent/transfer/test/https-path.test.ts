import { noOpenssl } from '../../testing/certificates.ts';
import { test } from 'node:test';

// The suites that follow run over plain HTTP elsewhere; here by TLS with HTTP/1.1.
if (noOpenssl === false) {
  process.env['PEERGLASS_TEST_TLS'] = 'https';
  await import('../peer-transfer.test.ts');
  await import('../body/resuming-body.test.ts');
  await import('../../mirror/mirror-handler.test.ts');
  await import('./hostile-peer.test.ts');
  await import('../../mirror/test/hostile-client.test.ts');
} else {
  test('transfer by TLS with HTTP/1.1', { skip: noOpenssl });
}
