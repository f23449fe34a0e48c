// The suites that follow run with the kernel's way of moving bytes where there is one; here without it.
process.env['PEERGLASS_TEST_DATA_PLANE'] = 'stream';
await import('../peer-transfer.test.ts');
await import('../body/resuming-body.test.ts');
await import('../../mirror/mirror-handler.test.ts');
