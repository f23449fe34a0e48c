import { noOpenssl } from '../../testing/certificates.ts';
import { test } from 'node:test';

// These suites run over plain HTTP elsewhere, and here over TLS, with HTTP/2 where both sides support it.
if (noOpenssl === false) {
  process.env['PEERGLASS_TEST_TLS'] = 'h2';
  await import('../peer-transfer.test.ts');
  await import('../body/resuming-body.test.ts');
  await import('../../mirror/mirror-handler.test.ts');
} else {
  test('transfers work over TLS with HTTP/2', { skip: noOpenssl });
}
