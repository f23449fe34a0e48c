import { noOpenssl } from '../../testing/certificates.ts';
import { test } from 'node:test';

// These suites run over plain HTTP elsewhere, and here over TLS with HTTP/1.1.
if (noOpenssl === false) {
  process.env['PEERGLASS_TEST_TLS'] = 'https';
  await import('../peer-transfer.test.ts');
  await import('../body/resuming-body.test.ts');
  await import('../../mirror/mirror-handler.test.ts');
  await import('./hostile-peer.test.ts');
  await import('../../mirror/test/hostile-client.test.ts');
} else {
  test('transfers work over TLS with HTTP/1.1', { skip: noOpenssl });
}
