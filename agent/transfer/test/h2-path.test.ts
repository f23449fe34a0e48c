import { noOpenssl } from '../../testing/certificates.ts';
import { test } from 'node:test';

// The suites that follow run over plain HTTP elsewhere; here by TLS, with HTTP/2 wherever both sides can.
if (noOpenssl === false) {
  process.env['PEERGLASS_TEST_TLS'] = 'h2';
  await import('../peer-transfer.test.ts');
  await import('../body/resuming-body.test.ts');
  await import('../../mirror/mirror-handler.test.ts');
} else {
  test('transfer by TLS, with HTTP/2 wherever both sides can', { skip: noOpenssl });
}
